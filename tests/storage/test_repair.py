"""Days whose columns of floats have statistics are found, and written again with the same rows."""

import math
import multiprocessing
import os
import signal
import struct
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import data_key, event, version_key
from lake_assets.storage import repair as repairing
from lake_assets.storage.day_facts import (
    DayFacts,
    merge_facts,
    merge_facts_of_stored,
    read_facts,
)
from lake_assets.storage.repair import misread_columns, repair_dataset
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter

FIRST = date(2026, 11, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(4)]
SCORES = event(
    "music/scores",
    "Scores.",
    group="Music",
    table="scores",
    tasks="lake.export_scores",
    columns="""
        score_id    int64!      One id.
        score       float64     Any float.
        created_at  timestamp!
    """,
)
VALUES = [3.0, math.nan, -0.0, math.inf, None, 5e-324, -math.inf, 0.0, 3.0]


def table(day: date = FIRST, values=VALUES) -> pa.Table:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    schema = arrow_schema(SCORES).with_metadata(
        {
            "lake.run_id": "run-old",
            "lake.code_version": "v0",
            "lake.dataset": SCORES.partition,
            "lake.day": day.isoformat(),
        }
    )
    return pa.table(
        {
            "score_id": pa.array(range(len(values)), pa.int64()),
            "score": pa.array(values, pa.float64()),
            "created_at": pa.array([at] * len(values), pa.timestamp("us", tz="UTC")),
        },
        schema=schema,
    )


def put_old(store: LakeStore, day: date, rows: pa.Table) -> str:
    """A day as it was written before: with statistics of all columns, in several row groups."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="snappy", row_group_size=4)
    return store.put_whole(data_key(SCORES, day), sink.getvalue().to_pybytes())


def stored(store: LakeStore, day: date) -> tuple[pa.Table, pq.FileMetaData]:
    with store.open(data_key(SCORES, day)) as file, pq.ParquetFile(file) as parquet:
        return parquet.read(), parquet.metadata


def bits(column) -> list[bytes | None]:
    return [None if one is None else struct.pack("<d", one) for one in column.to_pylist()]


def bare(store: LakeStore, day: date) -> str:
    return store.etags(SCORES)[day].strip('"')


@pytest.fixture
def store(bucket) -> LakeStore:
    return LakeStore(bucket)


@pytest.fixture
def old(store) -> dict[date, str]:
    """The ETags of old days, all with a verdict about the object that is there."""
    etags = {day: put_old(store, day, table(day)) for day in DAYS}
    facts = {
        day: DayFacts(etag=etag, rows=9, failed={"volume": f"odd on {day}"}, blocks=True)
        for day, etag in etags.items()
    }
    merge_facts(store, SCORES, facts)
    store.bump_version(SCORES, DAYS)
    return etags


def test_what_the_writer_writes_needs_no_repair(store):
    writer = PartitionWriter(store, run_id="r", code_version="v")
    writer.write(SCORES, FIRST, table().to_batches())
    _, metadata = stored(store, FIRST)
    chunks = [metadata.row_group(0).column(place) for place in range(3)]
    assert [chunk.is_stats_set for chunk in chunks] == [True, False, True]
    found = repair_dataset(store, SCORES)
    assert (found.looked, found.misread, found.rewritten) == (1, [], [])


def test_old_days_are_written_again_with_the_same_rows(store, old):
    before = {day: stored(store, day) for day in DAYS}
    token = store.get_small(version_key(SCORES))
    seen: list[int] = []

    report = repair_dataset(store, SCORES, on_progress=lambda one: seen.append(one.looked))

    assert report.rewritten == report.misread == DAYS
    assert seen == [1, 2, 3, 4]
    for day in DAYS:
        (was, was_metadata), (now, metadata) = before[day], stored(store, day)
        assert misread_columns(was_metadata) == ("score",)
        assert misread_columns(metadata) == ()
        assert bits(now["score"]) == bits(was["score"])
        assert now.drop_columns(["score"]).equals(was.drop_columns(["score"]))
        assert now.schema.remove_metadata() == was.schema.remove_metadata()
        groups = range(metadata.num_row_groups)
        assert [metadata.row_group(group).num_rows for group in groups] == [4, 4, 1]
        assert metadata.row_group(0).column(0).statistics.max == 3
        notes = dict(now.schema.metadata)
        assert notes.pop(b"lake.replaces").decode() == old[day]
        assert notes == was.schema.metadata
    facts = read_facts(store, SCORES)
    assert {day: found.etag for day, found in facts.items()} == {
        day: bare(store, day) for day in DAYS
    }
    assert facts[FIRST].failed == {"volume": f"odd on {FIRST}"}
    assert facts[FIRST].blocks
    assert store.get_small(version_key(SCORES)) != token

    token = store.get_small(version_key(SCORES))
    again = repair_dataset(store, SCORES)
    assert (again.looked, again.misread, again.rewritten) == (4, [], [])
    assert store.get_small(version_key(SCORES)) == token


def test_a_dry_run_changes_nothing(store, old):
    token = store.get_small(version_key(SCORES))
    report = repair_dataset(store, SCORES, dry_run=True)
    assert (report.misread, report.rewritten) == (DAYS, [])
    assert {day: bare(store, day) for day in DAYS} == old
    assert store.get_small(version_key(SCORES)) == token


def test_one_that_is_broken_off_is_ended_by_the_next(store, old, monkeypatch):
    def killed(*_args, **_options):
        raise KeyboardInterrupt

    # Between the object and its verdict: the worst moment.
    with monkeypatch.context() as patched:
        patched.setattr(repairing, "reattach_facts", killed)
        with pytest.raises(KeyboardInterrupt):
            repair_dataset(store, SCORES)
    assert bare(store, FIRST) != old[FIRST] == read_facts(store, SCORES)[FIRST].etag
    token = store.get_small(version_key(SCORES))

    report = repair_dataset(store, SCORES)

    assert report.rewritten == DAYS[1:]
    facts = read_facts(store, SCORES)
    assert all(facts[day].etag == bare(store, day) and facts[day].failed for day in DAYS)
    assert store.get_small(version_key(SCORES)) != token


def test_a_run_that_writes_the_day_meanwhile_wins(store, old, monkeypatch):
    same_rows = repairing._same_rows

    def overtaken(store, key, etag):
        yield from same_rows(store, key, etag)
        if key == data_key(SCORES, FIRST):
            writer = PartitionWriter(store, run_id="new", code_version="v", allow_shrink=True)
            writer.write(SCORES, FIRST, table(values=[1.5]).to_batches())

    monkeypatch.setattr(repairing, "_same_rows", overtaken)
    report = repair_dataset(store, SCORES)
    assert (report.changed, report.rewritten) == ([FIRST], DAYS[1:])
    rows, metadata = stored(store, FIRST)
    assert rows["score"].to_pylist() == [1.5]
    assert metadata.metadata[b"lake.run_id"] == b"new"
    # Its verdict is the business of the run that wrote it.
    assert read_facts(store, SCORES)[FIRST].etag == old[FIRST]


@pytest.mark.usefixtures("old")
def test_what_others_wrote_or_damaged_is_told_and_left(store):
    foreign = put_old(store, DAYS[0], table(DAYS[0]).replace_schema_metadata(None))
    damaged = store.put_whole(data_key(SCORES, DAYS[1]), b"PAR1 not really PAR1")
    report = repair_dataset(store, SCORES)
    assert (report.foreign, report.unreadable) == ([DAYS[0]], [DAYS[1]])
    assert report.rewritten == DAYS[2:]
    assert (bare(store, DAYS[0]), bare(store, DAYS[1])) == (foreign, damaged)


def test_floats_of_any_width_and_depth_are_found():
    rows = pa.table(
        {
            "half": pa.array([1.0], pa.float16()),
            "single": pa.array([1.0], pa.float32()),
            "whole": [1],
            "inside": pa.array([{"a": [1.0], "b": 1}]),
            "amount": pa.array([1], pa.decimal128(38, 2)),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    found = misread_columns(pq.read_metadata(pa.BufferReader(sink.getvalue())))
    assert found == ("half", "single", "inside.a.list.element")


def _repair_until_killed(location, puts: int) -> None:
    """Repair in a process that ends by SIGKILL after its `puts`-th request that writes."""
    put = LakeStore._put

    def counted(self, key, content, *, mode):
        nonlocal puts
        etag = put(self, key, content, mode=mode)
        puts -= 1
        if not puts:
            os.kill(os.getpid(), signal.SIGKILL)
        return etag

    LakeStore._put = counted
    repair_dataset(LakeStore(location), SCORES)


def test_killed_repairs_beside_a_writer_lose_and_double_nothing(bucket, store):
    """Whatever the moment: each day has its old rows or the writer's, and a verdict about them."""
    days = [FIRST + timedelta(days=number) for number in range(12)]
    merge_facts(
        store,
        SCORES,
        {
            day: DayFacts(etag=put_old(store, day, table(day)), rows=9, failed={"volume": "odd"})
            for day in days
        },
    )
    writer = PartitionWriter(store, run_id="new", code_version="v", allow_shrink=True)
    written = days[1::4]
    context = multiprocessing.get_context("spawn")
    for day, puts in zip([*written, None], (1, 4, 9, 0), strict=True):
        process = context.Process(target=_repair_until_killed, args=(bucket, puts))
        process.start()
        if day is not None:
            # A run of this day, at the same time.
            rows = table(day, [1.5, math.nan]).to_batches()
            etag = writer.write(SCORES, day, rows).etag
            merge_facts_of_stored(store, SCORES, {day: DayFacts(etag=etag, rows=2)})
        process.join()
        assert process.exitcode == (-signal.SIGKILL if puts else 0)

    assert sorted(store.etags(SCORES)) == days
    facts = read_facts(store, SCORES)
    for day in days:
        rows, metadata = stored(store, day)
        values = [1.5, math.nan] if day in written else VALUES
        assert bits(rows["score"]) == bits(pa.array(values))
        assert misread_columns(metadata) == ()
        assert facts[day].etag == bare(store, day)
        assert facts[day].failed == ({} if day in written else {"volume": "odd"})
