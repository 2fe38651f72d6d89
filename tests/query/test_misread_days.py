"""Stored days with statistics of floats: right before they are repaired, while, and after."""

import math
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.query.guard import Guard
from lake_api.query.segments import MIN_DAYS
from lake_assets.catalog import Catalog, event
from lake_assets.storage.repair import repair_dataset
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from tests.query.test_segments import poll

SCORES = event(
    "scores",
    "One row per score.",
    group="core",
    table="scores",
    tasks="lake.export_scores",
    columns="""
        f           float64     Any float.
        created_at  timestamp! When.
    """,
)
FIRST = date(2026, 10, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(MIN_DAYS + 2)]
VALUES = [3.0, math.nan, 3.0]
COUNTS = {
    "f = 3": 2,
    "isnan(f)": 1,
    "f > 5": 1,
    "NOT (f < 5)": 1,
    "f IS DISTINCT FROM 3": 1,
    "f <> 3": 1,
    "f <= 3": 2,
    "f::VARCHAR = 'nan'": 1,
    "CASE WHEN f > 5 THEN true ELSE false END": 1,
}


def day_rows(day: date) -> pa.Table:
    moment = pa.scalar(f"{day}T12:00:00Z").cast(pa.timestamp("us", tz="UTC"))
    notes = {"lake.dataset": SCORES.partition, "lake.day": day.isoformat()}
    schema = arrow_schema(SCORES).with_metadata(notes)
    return pa.table({"f": VALUES, "created_at": pa.repeat(moment, 3)}, schema=schema)


def assert_right(lake, *, days: int) -> None:
    everything = ", ".join(
        f"count(*) FILTER (WHERE {test}) AS c{number}" for number, test in enumerate(COUNTS)
    )
    assert lake.rows(f"SELECT {everything} FROM scores") == [[days * n for n in COUNTS.values()]]
    for test, count in COUNTS.items():
        result = lake.query(f"SELECT count(*) AS n FROM scores WHERE {test}")
        assert (test, result.rows_json.decode()) == (test, f"[[{days * count}]]")
        one = f"SELECT count(*) AS n FROM scores WHERE date = '{FIRST}' AND {test}"
        assert (one, lake.rows(one)) == (one, [[count]])
    assert lake.rows("SELECT isnan(max(f)) AS m, min(f) AS n FROM scores") == [[True, 3.0]]


@pytest.fixture
def scores(lake):
    lake.catalog = Catalog([SCORES])
    lake.guard = Guard(lake.catalog)
    for day in DAYS:
        # As an older version wrote it: with statistics of all columns.
        sink = pa.BufferOutputStream()
        pq.write_table(day_rows(day), sink, compression="snappy")
        lake.put_bytes(SCORES, day, sink.getvalue().to_pybytes())
    return lake


def test_they_answer_right_from_files_and_after_their_repair(scores):
    scores.start(LAKE_SEGMENT_BYTES="0")
    assert_right(scores, days=len(DAYS))

    report = repair_dataset(LakeStore(scores.location), SCORES)

    assert report.rewritten == DAYS
    scores.stop()
    scores.start(LAKE_SEGMENT_BYTES="0")
    assert_right(scores, days=len(DAYS))
    assert scores.query("SELECT count(*) AS n FROM scores").warnings == ()


def test_they_answer_right_from_a_segment(scores):
    scores.start()
    assert_right(scores, days=len(DAYS))
    poll(lambda: scores.engine._files.segments.builds >= 1)
    scores.engine._results.clear()
    asked = scores.engine._files.objects.asked
    assert_right(scores, days=len(DAYS))
    assert scores.engine._files.objects.asked == asked
