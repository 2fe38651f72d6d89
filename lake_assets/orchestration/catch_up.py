"""Days that should be there and are not: asked for again by themselves, a few times.

Belongs here: which of the last days are missing, and the sensor that runs them.
Does not belong here: which days are due (`lake_assets.catalog.due`), asking by hand (`lake
backfill`).

A machine that was off, a source that was down over night: the schedules do not come back for days
that they have passed. This does, for the last days of every dataset that was written before; a day
is tried at most three times, hours apart, after that it is a matter for people.

What is missing is what the bucket lacks, and days that failed a check that blocks: Dagster's own
history may be lost, or know of objects that are gone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial

import dagster as dg
import msgspec
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from lake_assets.catalog import Dataset, ExternalSource, LakeSource
from lake_assets.catalog.due import due_days
from lake_assets.catalog.settings import read_lake_setting
from lake_assets.models.derivation import derivation_of
from lake_assets.orchestration.assets import Clock, is_built
from lake_assets.orchestration.partitions import partitions_of, range_tags, ranges_of
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.schedules import shared_source, why_not
from lake_assets.sources.collect import collector_of
from lake_assets.storage.day_facts import good_days
from lake_assets.storage.store import LakeStore

CATCH_UP_SENSOR = "catch_up"
CATCH_UP_TAG = "lake/catch_up"

_INTERVAL_S = 900
_SETTLED = timedelta(hours=1)
_ATTEMPTS = 3
_BETWEEN_ATTEMPTS_S = 6 * 3600.0
_LISTED_AT_ONCE = 8

Stored = Mapping[str, frozenset[date]]
"""The days of each dataset that are there and passed what blocks, by partition."""


class Attempts(msgspec.Struct, frozen=True):
    """How often a day was asked for, and when last."""

    count: int
    last_at: float


_Memory = dict[str, dict[date, Attempts]]


def catch_up_sensor(
    datasets: Iterable[Dataset], *, running: bool, env: Mapping[str, str], clock: Clock
) -> dg.SensorDefinition:
    """The sensor that runs missing days; `env` is read at each tick.

    `LAKE_CATCH_UP_DAYS` is how many days it looks back, 7 without it; 0 turns it off.
    """
    watched = [dataset for dataset in datasets if is_built(dataset)]

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = clock().astimezone(UTC)
        looks_back_d = days_back(env)
        if not looks_back_d:
            return dg.SkipReason("LAKE_CATCH_UP_DAYS is 0.")
        oldest = now.date() - timedelta(days=looks_back_d)
        memory = _remembered(context.cursor, oldest)
        configured = [dataset for dataset in watched if not why_not([dataset], env)]
        known = stored_days(LakeResource(env=env).store(), watched)
        wanted: dict[str, list[date]] = {}
        for dataset in configured:
            tried = memory.setdefault(dataset.partition, {})
            missing = missing_days(dataset, known, oldest=oldest, now=now)
            for day in _at_rest(context.instance, dataset, missing):
                before = tried.get(day, Attempts(count=0, last_at=0.0))
                if _may_try(before, now):
                    wanted.setdefault(dataset.partition, []).append(day)
                    tried[day] = Attempts(count=before.count + 1, last_at=now.timestamp())
        cursor = msgspec.json.encode(memory).decode()
        requests = list(_requests(configured, wanted))
        if not requests:
            return dg.SensorResult(skip_reason="Nothing that is due is missing.", cursor=cursor)
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return dg.SensorDefinition(
        name=CATCH_UP_SENSOR,
        evaluation_fn=evaluate,
        asset_selection=dg.AssetSelection.assets(
            *(dg.AssetKey(dataset.asset_key) for dataset in watched)
        ),
        description="Runs days that schedules should have written and that are missing.",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )


def days_back(env: Mapping[str, str]) -> int:
    """How many days are looked back.

    Raises:
        SettingsError: the setting is no number of days.
    """
    days: int = read_lake_setting("LAKE_CATCH_UP_DAYS", env)
    return days


def stored_days(store: LakeStore, datasets: Sequence[Dataset]) -> Stored:
    """What the bucket has of each dataset.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    with ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
        found = list(pool.map(partial(good_days, store), datasets))
    return {dataset.partition: days for dataset, days in zip(datasets, found, strict=True)}


def missing_days(dataset: Dataset, known: Stored, *, oldest: date, now: datetime) -> Sequence[date]:
    """The days since `oldest` that are due for an hour and not there.

    None of a dataset that has no day at all: nothing was ever set up for it. Of a derived one only
    days whose inputs are there; `automation` runs those that wait for an input.
    """
    there = known[dataset.partition]
    if not there:
        return []
    first, today = max(oldest, _oldest_in_reach(dataset, now.date())), now.date()
    return [
        day
        for day in due_days(dataset, first=first, last=today, now=now - _SETTLED)
        if day not in there and _has_inputs(dataset, day, known)
    ]


def _oldest_in_reach(dataset: Dataset, today: date) -> date:
    if not isinstance(dataset.source, ExternalSource):
        return date.min
    reach_d = collector_of(dataset).reach_d
    return date.min if reach_d is None else today - timedelta(days=reach_d)


def _has_inputs(dataset: Dataset, day: date, known: Stored) -> bool:
    if not isinstance(dataset.source, LakeSource):
        return True
    return all(
        window.last(day) in known.get(upstream, ())
        for upstream, window in derivation_of(dataset).windows.items()
    )


def _at_rest(
    instance: dg.DagsterInstance, dataset: Dataset, days: Sequence[date]
) -> Sequence[date]:
    """Those of the days that no run is writing."""
    if not days:
        return []
    found = instance.get_status_by_partition(
        dg.AssetKey(dataset.asset_key), [day.isoformat() for day in days], partitions_of(dataset)
    )
    return [
        day
        for day in days
        if (found or {}).get(day.isoformat()) is not AssetPartitionStatus.IN_PROGRESS
    ]


def _may_try(before: Attempts, now: datetime) -> bool:
    waited_s = now.timestamp() - before.last_at
    return before.count < _ATTEMPTS and waited_s > _BETWEEN_ATTEMPTS_S


def _remembered(cursor: str | None, oldest: date) -> _Memory:
    try:
        memory = msgspec.json.decode(cursor or "{}", type=_Memory)
    except msgspec.DecodeError:
        return {}
    return {
        partition: {day: tried for day, tried in days.items() if day >= oldest}
        for partition, days in memory.items()
    }


def _requests(
    datasets: Iterable[Dataset], wanted: Mapping[str, Sequence[date]]
) -> Iterator[dg.RunRequest]:
    """One run for all datasets that share a source and lack the same range of days."""
    groups: dict[tuple[str, date, date, date], list[dg.AssetKey]] = {}
    for dataset in datasets:
        for first, last in ranges_of(wanted.get(dataset.partition, [])):
            key = (shared_source(dataset), dataset.first_day, first, last)
            groups.setdefault(key, []).append(dg.AssetKey(dataset.asset_key))
    for (_, _, first, last), keys in groups.items():
        yield dg.RunRequest(
            asset_selection=keys, tags={CATCH_UP_TAG: "true", **range_tags(first, last)}
        )
