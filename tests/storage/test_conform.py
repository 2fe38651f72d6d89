from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from lake_assets.catalog import event
from lake_assets.storage.conform import SchemaMismatch, conform
from lake_assets.storage.schema import arrow_schema

DATASET = event(
    "music/plays",
    "Plays.",
    group="Music",
    table="plays",
    tasks="lake.export_plays",
    columns="""
        play_id     string!     One id.
        seconds     int64       Seconds played.
        share       float64     Share played.
        cost_usd    decimal     Cost.
        tags        json        Tags.
        released    date        Day of release.
        liked       bool        Whether it was liked.
        created_at  timestamp!
    """,
)
MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def batch(**columns):
    defaults = {
        "play_id": pa.array(["a"]),
        "created_at": pa.array([MOMENT], pa.timestamp("us", tz="UTC")),
    }
    return pa.RecordBatch.from_pydict(defaults | columns)


def test_a_batch_gets_the_declared_columns_types_and_order():
    fitted = conform(
        batch(
            cost_usd=pa.array(["1.5"]),
            seconds=pa.array([3], pa.int32()),
            share=pa.array([0.5], pa.float32()),
            released=pa.array([date(2026, 1, 1)]),
        ),
        DATASET,
    )

    assert fitted.schema.equals(arrow_schema(DATASET))
    assert fitted.to_pylist() == [
        {
            "play_id": "a",
            "seconds": 3,
            "share": 0.5,
            "cost_usd": Decimal("1.500000"),
            "tags": None,
            "released": date(2026, 1, 1),
            "liked": None,
            "created_at": MOMENT,
        }
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"seconds": pa.array(["x"])}, "`seconds` is declared int64 and came as string with"),
        ({"seconds": pa.array([1.5])}, "`seconds` is declared int64 and came as double with"),
        ({"seconds": pa.array([True])}, "`seconds` is declared int64 and came as bool"),
        ({"cost_usd": pa.array(["0.1234567"])}, "`cost_usd` is declared decimal"),
        ({"cost_usd": pa.array(["1234567890123.0"])}, "`cost_usd` is declared decimal"),
        ({"tags": pa.array([1])}, "`tags` is declared json and came as int64"),
        ({"liked": pa.array(["true"])}, "`liked` is declared bool and came as string"),
        ({"released": pa.array(["2026-01-01"])}, "`released` is declared date32 and came as"),
        (
            {"created_at": pa.array([MOMENT.replace(tzinfo=None)])},
            "`created_at` is declared timestamp",
        ),
        ({"play_id": pa.array([None], pa.string())}, "`play_id` is required and has 1 null"),
        ({"other": pa.array([1])}, "column `other` is not declared"),
    ],
)
def test_what_does_not_fit_is_named_with_expected_and_actual(columns, message):
    with pytest.raises(SchemaMismatch, match="music/plays: column") as refusal:
        conform(batch(**columns), DATASET)

    assert message in str(refusal.value)


def test_a_required_column_may_not_be_missing():
    with pytest.raises(SchemaMismatch, match="`created_at` is required and missing"):
        conform(pa.RecordBatch.from_pydict({"play_id": ["a"]}), DATASET)


def test_whole_numbers_and_zeros_beyond_the_last_digit_are_decimals():
    fitted = conform(batch(cost_usd=pa.array([-999_999_999_999])), DATASET)
    assert fitted["cost_usd"].to_pylist() == [Decimal("-999999999999.000000")]
    for text, value in [("1.5" + "0" * 60, "1.5"), ("1.5e-5", "0.000015"), ("1E5", "100000")]:
        fitted = conform(batch(cost_usd=pa.array([text])), DATASET)
        assert fitted["cost_usd"].to_pylist() == [Decimal(value)]


@pytest.mark.parametrize(
    "value", [10**12, "9" * 200, "1e-45", "1e400", "1.5e-7", "0." + "0" * 60 + "1"]
)
def test_a_number_of_too_many_digits_never_becomes_another(value):
    with pytest.raises(SchemaMismatch, match="with a value that does not fit"):
        conform(batch(cost_usd=pa.array([value])), DATASET)
