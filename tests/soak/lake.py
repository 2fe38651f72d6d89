"""The lake of a soak: what happens to its source, how it is run, and what must hold afterwards.

Belongs here: random changes of a database, runs of Dagster, some of them killed, the invariants.
Does not belong here: how long it goes on (`__main__`, `test_soak`).
"""

import logging
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import dagster as dg
import psycopg
import pyarrow.parquet as pq

from lake_assets.catalog import (
    Catalog,
    Dataset,
    LakeLocation,
    ShrinkPolicy,
    data_key,
    event,
    snapshot,
)
from lake_assets.orchestration.build import build_defs
from lake_assets.storage.shrink import ALLOW_TAG
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of

NOW = datetime(2026, 11, 30, 5, tzinfo=UTC)
TODAY = NOW.date()
DAYS = tuple(TODAY - timedelta(days=back) for back in range(30, 0, -1))
_DAY_IS = "(at AT TIME ZONE 'UTC')::date = %s"
COLUMNS = ("id", "name", "score", "at")

Rows = Mapping[int, tuple[Any, ...]]


def catalog(schema: str) -> Catalog:
    columns = "id int64! One id.\nname string Name.\nscore int64 Score.\nat timestamp! When."
    common: dict[str, Any] = {"group": "Soak", "columns": columns, "watermark": "at", "key": "id"}
    events = {"refused": "", "strict": "0%", "mirrored": "mirror", "kept": "keep"}
    return Catalog(
        [
            *(
                event(
                    name,
                    name,
                    table=f"{schema}.{name}",
                    tasks=f"lake.export_{name}",
                    shrink=shrink,
                    **common,
                )
                for name, shrink in events.items()
            ),
            snapshot("state", "State.", table=f"{schema}.state", tasks="lake.state", **common),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a process needs to run the lake."""

    location: LakeLocation
    postgres_url: str
    schema: str


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a run ended: whether it was green, its error, what it reported of each written day."""

    green: bool | None
    said: str
    reported: Mapping[date, Mapping[str, int]] = field(default_factory=dict[date, Any])


@cache
def _job(part: Part) -> dg.JobDefinition:
    """What runs, built once in a process."""
    env = settings_of(part.location) | {"PLATFORM_DATABASE_URL": part.postgres_url}
    defs = build_defs(catalog=catalog(part.schema), env=env, clock=lambda: NOW)
    return defs.resolve_implicit_global_asset_job_def()


@cache
def instance() -> dg.DagsterInstance:
    """Where Dagster records runs: nothing that is checked here reads it."""
    # A third of a run's time would go into making one.
    return dg.DagsterInstance.ephemeral()


def run(part: Part, partition: str, days: Sequence[date], tags: Mapping[str, str]) -> Ran:
    """One run of Dagster."""
    result = _job(part).execute_in_process(
        instance=instance(),
        asset_selection=[dg.AssetKey(partition)],
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": days[0].isoformat(),
            "dagster/asset_partition_range_end": days[-1].isoformat(),
            **tags,
        },
    )
    failures = [each for each in result.all_events if each.is_step_failure]
    said = [each.step_failure_data.error_display_string.splitlines()[0] for each in failures]
    written = [each.materialization for each in result.get_asset_materialization_events()]
    return Ran(
        green=result.success,
        said="; ".join(said),
        reported={
            date.fromisoformat(one.partition or ""): {
                name: int(str(one.metadata[name].value)) if name in one.metadata else 0
                for name in ("rows", "lost_rows", "kept_rows")
            }
            for one in written
        },
    )


def run_until_killed(
    part: Part, partition: str, days: Sequence[date], puts: int, *, after: bool
) -> None:
    """The same in a process that ends by SIGKILL at its `puts`-th request that writes."""
    put, left = LakeStore._put, [puts]

    def counted(self: LakeStore, key: str, content: bytes, *, mode: Any) -> str:
        left[0] -= 1
        if not left[0] and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        etag = put(self, key, content, mode=mode)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return etag

    LakeStore._put = counted  # type: ignore[method-assign]
    run_quietly(part, partition, days)


def run_quietly(part: Part, partition: str, days: Sequence[date]) -> None:
    """The same in a process of its own."""
    logging.disable()
    run(part, partition, days, {})


@dataclass
class Soak:
    """One lake, step by step. `known` is what each day held when it was looked at last.

    `fullest` is the version of each day with the most rows since a run was allowed to let rows go.
    """

    part: Part
    seed: int
    dice: random.Random = field(init=False)
    datasets: Mapping[str, Dataset] = field(init=False)
    store: LakeStore = field(init=False)
    known: dict[tuple[str, date], tuple[str, Rows]] = field(init=False, default_factory=dict)
    fullest: dict[tuple[str, date], Rows] = field(init=False, default_factory=dict)
    counts: dict[str, int] = field(init=False, default_factory=dict)
    renamed: set[str] = field(init=False, default_factory=set)
    _next_id: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.datasets = {one.partition: one for one in catalog(self.part.schema)}
        self.store = LakeStore(self.part.location)
        self._spawn = multiprocessing.get_context("forkserver")
        self._spawn.set_forkserver_preload(["tests.soak.warm"])
        self.sql(f"CREATE SCHEMA {self.part.schema}")
        for name in self.datasets:
            self.sql(
                f"CREATE TABLE {self.part.schema}.{name}"
                " (id bigint, name text, score bigint, at timestamptz)"
            )
            for day in DAYS:
                self._insert(name, day, self.dice.randint(0, 40))

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.part.postgres_url, autocommit=True) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    def step(self) -> None:
        """One random change of the source, and one random run."""
        name = self.dice.choice(list(self.datasets))
        days = self._some_days(name)
        changes: Sequence[Callable[[str, date], None]] = (
            self._grow,
            self._purge,
            self._purge,
            self._rename,
            self._empty_column,
            self._restamp,
            lambda *_: None,
        )
        self.dice.choice(changes)(name, self.dice.choice(days))
        how = self.dice.choices(
            (self._run, self._run_allowed, self._run_killed, self._run_twice), (12, 2, 4, 1)
        )[0]
        how(name, days)
        self._count(how.__name__.removeprefix("_"))

    # what happens to the source

    def _insert(self, name: str, day: date, rows: int) -> None:
        if name in self.renamed:
            return
        first, self._next_id = self._next_id, self._next_id + rows
        self.sql(
            f"INSERT INTO {self.part.schema}.{name}"
            " SELECT i, 'n' || i, i, %s FROM generate_series(%s::int, %s::int) i",
            datetime.combine(day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=1),
            first,
            first + rows - 1,
        )

    def _grow(self, name: str, day: date) -> None:
        self._insert(name, day, self.dice.randint(1, 20))

    def _purge(self, name: str, day: date) -> None:
        share = self.dice.choice((0.02, 0.08, 0.3, 0.9, 1.0))
        scope = "true" if self.dice.random() < 0.2 else _DAY_IS
        parameters = () if scope == "true" else (day,)
        self.sql(
            f"DELETE FROM {self.part.schema}.{name} WHERE {scope} AND {self._one_in(share)}",
            *parameters,
        )

    def _one_in(self, share: float) -> str:
        """A condition that so many rows meet, the same ones for the same seed."""
        salt = self.dice.randrange(2**31)
        return f"mod(abs(hashint8(id # {salt})::bigint), 1000) < {share * 1000:.0f}"

    def _rename(self, name: str, _: date) -> None:
        old, new = ("score", "points") if name not in self.renamed else ("points", "score")
        self.sql(f"ALTER TABLE {self.part.schema}.{name} RENAME COLUMN {old} TO {new}")
        self.renamed ^= {name}

    def _empty_column(self, name: str, day: date) -> None:
        self.sql(
            f"UPDATE {self.part.schema}.{name} SET name = NULL WHERE {_DAY_IS}",
            day,
        )

    def _restamp(self, name: str, day: date) -> None:
        by = self.dice.choice((-2, -1, 1))
        self.sql(
            f"UPDATE {self.part.schema}.{name} SET at = at + %s::interval WHERE {_DAY_IS}"
            f" AND {self._one_in(0.5)}",
            f"{by} days",
            day,
        )

    # runs

    def _run(self, name: str, days: Sequence[date], **tags: str) -> None:
        self._check(name, days, run(self.part, name, days, tags), allowed=bool(tags))

    def _run_allowed(self, name: str, days: Sequence[date]) -> None:
        self._run(name, days, **{ALLOW_TAG: "true"})

    def _run_killed(self, name: str, days: Sequence[date]) -> None:
        puts, after = self.dice.randint(1, len(days) + 2), self.dice.random() < 0.5
        process = self._spawn.Process(
            target=run_until_killed, args=(self.part, name, days, puts), kwargs={"after": after}
        )
        process.start()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            self._count("killed")
        self._check(name, days, Ran(green=None, said="killed"), allowed=False)

    def _run_twice(self, name: str, days: Sequence[date]) -> None:
        """Two at once, in two processes; what one has written the other does not undo."""
        both = [
            self._spawn.Process(target=run_quietly, args=(self.part, name, days)) for _ in range(2)
        ]
        for process in both:
            process.start()
        for process in both:
            process.join()
            assert process.exitcode == 0
        self._check(name, days, Ran(green=None, said="two at once"), allowed=False)

    # what must hold

    def _check(self, name: str, days: Sequence[date], ran: Ran, *, allowed: bool) -> None:
        dataset = self.datasets[name]
        where = f"seed {self.seed}, {name} {days[0]} to {days[-1]} ({ran.said or 'green'})"
        written: set[date] = set()
        for day, etag in self.store.etags(dataset).items():
            etag_before, before = self.known.get((name, day), ("", {}))
            if etag_before == etag:
                continue
            now = self._stored(dataset, day)
            assert day in days, f"{where}: {day} was written and not asked for"
            self._check_loss(dataset, day, before, now, allowed=allowed, where=f"{where} {day}")
            if ran.green is not None:
                assert day in ran.reported, f"{where}: {day} was written without a report"
                self._check_report(before, now, ran.reported[day], where=f"{where} {day}")
            written.add(day)
            self.known[name, day] = (etag, now)
        for day in days:
            there = self.known.get((name, day))
            wanted = self._of_source(dataset, day)
            is_as_source = there is not None and _is_as(dataset, there[1], wanted, allowed=allowed)
            if ran.green:
                assert is_as_source, f"{where}: {day} is not what the source has"
                assert day in ran.reported, f"{where}: {day} was not reported"
            elif ran.green is False and not is_as_source:
                assert "were not written" in ran.said or day.isoformat() in ran.said, where
        self._count("green" if ran.green else "red" if ran.green is False else "ended")

    def _check_report(
        self, before: Rows, now: Rows, reported: Mapping[str, int], *, where: str
    ) -> None:
        lost = len(before.keys() - now.keys())
        found = {"rows": len(now), "lost_rows": lost}
        said = {name: reported[name] for name in found}
        assert said == found, f"{where}: it reported {said}, and has {found}"

    def _check_loss(
        self, dataset: Dataset, day: date, before: Rows, now: Rows, *, allowed: bool, where: str
    ) -> None:
        fullest = self.fullest.get((dataset.partition, day), {})
        if allowed or len(now) >= len(fullest):
            self.fullest[dataset.partition, day] = now
        if allowed:
            return
        emptied = [
            place
            for place in range(len(COLUMNS))
            if _values(before, place) and not _values(now, place)
        ]
        if dataset.shrink.policy is ShrinkPolicy.MIRROR:
            self.fullest[dataset.partition, day] = now
            gone = len(before.keys() - now.keys())
            for place in emptied if now else ():
                name = COLUMNS[place]
                assert _values(before, place) <= gone, f"{where}: `{name}` lost its values"
                is_renamed = name == "score" and dataset.partition in self.renamed
                assert not is_renamed, f"{where}: `{name}` has another name, and lost its values"
            return
        share = dataset.shrink.share
        lost = (fullest if dataset.is_of_past else before).keys() - now.keys()
        assert len(lost) <= share * max(len(fullest), len(before)), (
            f"{where}: {len(lost)} rows lost of {len(fullest)}"
        )
        fewer = len(fullest) - len(now)
        assert fewer <= share * len(fullest), f"{where}: {fewer} rows fewer than {len(fullest)}"
        assert now or not before, f"{where}: it became empty"
        for place in emptied:
            raise AssertionError(f"{where}: `{COLUMNS[place]}` lost its values")
        if lost:
            self._count("erased")

    def _stored(self, dataset: Dataset, day: date) -> Rows:
        with self.store.open(data_key(dataset, day)) as file:
            return _by_id(pq.read_table(file, columns=list(COLUMNS)).to_pylist())

    def _of_source(self, dataset: Dataset, day: date) -> Rows:
        score = "NULL::bigint" if dataset.partition in self.renamed else "score"
        is_day = "" if dataset.partition == "state" else f" WHERE {_DAY_IS}"
        rows = self.sql(
            f"SELECT id, name, {score}, at FROM {self.part.schema}.{dataset.partition}{is_day}",
            *((day,) if is_day else ()),
        )
        return _by_id([dict(zip(COLUMNS, row, strict=True)) for row in rows])

    def _some_days(self, name: str) -> Sequence[date]:
        if name == "state":
            return [TODAY]
        first = self.dice.randrange(len(DAYS))
        return DAYS[first : first + self.dice.choice((1, 1, 2, 5, 10))]

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def _values(rows: Rows, place: int) -> int:
    return sum(row[place] is not None for row in rows.values())


def _by_id(rows: Sequence[Mapping[str, Any]]) -> Rows:
    return {row["id"]: tuple(row[name] for name in COLUMNS) for row in rows}


def _is_as(dataset: Dataset, stored: Rows, source: Rows, *, allowed: bool) -> bool:
    if dataset.shrink.policy is ShrinkPolicy.KEEP and not allowed:
        return source.items() <= stored.items()
    return stored == source
