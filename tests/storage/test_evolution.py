from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from lake_assets.catalog import Dataset, event, version_key
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.reader import StoredDays, read_day
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter

DAYS = [date(2026, 11, number) for number in (20, 21, 22)]


def songs(columns: str) -> Dataset:
    return event(
        "songs",
        "Songs.",
        group="Music",
        table="songs",
        tasks="lake.export_songs",
        columns=f"{columns}\ncreated_at timestamp!",
    )


BEFORE = songs("title string! Title.\nplays int64 Plays.")
AFTER = songs("title string! Title.\nplays int64 Plays.\nlabel string! Label.")


@pytest.fixture
def store(bucket) -> LakeStore:
    return LakeStore(bucket)


def write(store: LakeStore, dataset: Dataset, day: date, *, accept: bool = False, **values) -> None:
    moment = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
    row = {"title": "hey", "created_at": moment} | values
    batch = pa.RecordBatch.from_pylist([row], schema=arrow_schema(dataset))
    PartitionWriter(store, run_id="run", code_version="v", accept_schema_change=accept).write(
        dataset, day, [batch]
    )
    store.bump_version(dataset, [day])


def test_a_column_added_needs_nothing_else(store):
    write(store, BEFORE, DAYS[0], plays=1)
    write(store, AFTER, DAYS[1], plays=2, label="blue")

    days = StoredDays(store=store, dataset=AFTER, days=DAYS)
    table, missing = days.window(DAYS)

    assert table.column_names == ["title", "plays", "label", "created_at", "date"]
    assert table["label"].to_pylist() == [None, "blue"]
    assert table["date"].to_pylist() == DAYS[:2]
    assert missing == DAYS[2:]
    only = read_day(store, AFTER, DAYS[0], columns=["label"])
    assert only["label"].to_pylist() == [None], "a day that has none of the columns keeps its rows"


def test_an_old_day_written_again_gets_the_column(store):
    write(store, BEFORE, DAYS[0], plays=1)
    write(store, AFTER, DAYS[0], plays=1, label="blue")

    assert read_day(store, AFTER, DAYS[0])["label"].to_pylist() == ["blue"]


def test_a_column_that_went_is_refused_with_what_to_do(store):
    write(store, AFTER, DAYS[0], label="blue")

    with pytest.raises(SchemaMismatch) as caught:
        write(store, BEFORE, DAYS[1])

    assert str(caught.value) == (
        "songs: column `label` is in the lake (2026-11-20) and no longer declared: days written "
        "now would lack it. Declare it again; where its source is gone it is written as null. To "
        "let it go, write every day again by runs with the tag lake/accept_schema_change=true"
    )
    assert store.days(BEFORE) == DAYS[:1]


def test_a_column_of_another_type_is_refused_with_what_to_do(store):
    write(store, BEFORE, DAYS[0], plays=1)
    retyped = songs("title string! Title.\nplays float64 Plays.")

    with pytest.raises(SchemaMismatch) as caught:
        write(store, retyped, DAYS[1], plays=1.5)

    assert "column `plays` is declared as double, and the lake has it as int64" in str(caught.value)
    assert "under another name" in str(caught.value)
    assert store.days(BEFORE) == DAYS[:1]
    with pytest.raises(SchemaMismatch, match="2026-11-20 has it as int64; write that day again"):
        read_day(store, retyped, DAYS[0])
    assert read_day(store, retyped, DAYS[0], columns=["title"]).num_rows == 1


def test_a_change_that_is_meant_is_accepted_once(store):
    write(store, AFTER, DAYS[0], label="blue")

    write(store, BEFORE, DAYS[1], accept=True)
    write(store, BEFORE, DAYS[2])

    assert store.days(BEFORE) == DAYS


def test_a_token_of_someone_else_is_not_judged(store):
    write(store, AFTER, DAYS[0], label="blue")
    store.put_whole(version_key(AFTER), b"not ours")

    write(store, BEFORE, DAYS[1])


def test_a_day_that_was_removed_is_not_judged(store):
    write(store, AFTER, DAYS[0], label="blue")
    store.bump_version(AFTER, [DAYS[2]])

    write(store, BEFORE, DAYS[1])
