import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import data_key
from lake_assets.orchestration.derive import in_ranges
from lake_assets.orchestration.io_manager import ACCEPT_FAILED_TAG
from lake_assets.storage import reader
from lake_assets.storage.day_facts import DayFacts, merge_facts
from tests.orchestration.conftest import first_error
from tests.orchestration.derived_lake import (
    ARTISTS,
    HITS,
    LISTENS,
    NOW,
    PLAYS,
    RATINGS,
    ROSTER,
    SEEN,
    TODAY,
    DerivedLake,
    ago,
    metadata_by_day,
)


@pytest.fixture
def lake(bucket, tmp_path) -> DerivedLake:
    return DerivedLake.at(bucket, tmp_path)


@pytest.fixture
def reads(monkeypatch) -> list[tuple[str, object]]:
    """The upstream days that were read, in order."""
    found: list[tuple[str, object]] = []
    read_day = reader.read_day

    def counted(store, dataset, day, **options):
        found.append((dataset.partition, day))
        return read_day(store, dataset, day, **options)

    monkeypatch.setattr(reader, "read_day", counted)
    return found


def test_a_day_is_computed_from_its_window(lake):
    for back in range(6):
        lake.put(PLAYS, ago(back), ["hey"] * (back + 1))
    lake.put(RATINGS, ago(2), [4.0])
    lake.put(RATINGS, ago(1), [5.0])

    result = lake.materialize(LISTENS, ago(1))

    assert result.success
    assert lake.read(LISTENS, ago(1)) == [
        {
            "song": "hey",
            "stars": 4.5,
            "plays": 2 + 3 + 4,
            "day": ago(1),
            "version": "3",
            "generated_at": NOW,
        }
    ]
    said = metadata_by_day(result)[ago(1).isoformat()]
    assert said["rows"] == 1
    assert said["input_days"] == {PLAYS: 3, RATINGS: 2}
    assert said["missing_inputs"] == {}
    assert said["source"] == f"lake:{PLAYS}+{RATINGS}"
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks == {"schema": True, "unique_key": True, "null_rate": True, "newest_day": True}


def test_missing_days_are_named_and_no_failure(lake):
    lake.put(PLAYS, ago(1), ["hey"])

    result = lake.materialize(LISTENS, ago(1))

    said = metadata_by_day(result)[ago(1).isoformat()]
    assert said["input_days"] == {PLAYS: 1, RATINGS: 0}
    assert said["missing_inputs"] == {
        PLAYS: f"{ago(3)} to {ago(2)}",
        RATINGS: f"{ago(2)} to {ago(1)}",
    }
    assert lake.read(LISTENS, ago(1))[0]["stars"] is None


def test_without_any_input_nothing_is_written_and_the_reason_is_told(lake):
    lake.put(PLAYS, ago(1), ["hey"])

    result = lake.materialize(LISTENS, ago(5), ago(1))

    assert result.success
    assert set(metadata_by_day(result)) == {ago(1).isoformat()}
    reasons = {
        event.partition: event.asset_observation_data.asset_observation.metadata["reason"].value
        for event in result.get_asset_observation_events()
    }
    assert set(reasons) == {ago(back).isoformat() for back in (5, 4, 3, 2)}
    assert reasons[ago(5).isoformat()] == (
        f"nothing to compute it from: the lake has no {PLAYS} {ago(7)} to {ago(5)}; "
        f"{RATINGS} {ago(6)} to {ago(5)}"
    )
    assert lake.store.days(lake.catalog[LISTENS]) == [ago(1)]


def test_a_run_with_nothing_to_compute_succeeds_and_leaves_the_day_missing(lake):
    result = lake.materialize(LISTENS, ago(1))

    assert result.success
    assert metadata_by_day(result) == {}
    assert len(result.get_asset_observation_events()) == 1
    assert result.get_asset_check_evaluations() == []


def test_what_came_later_changes_nothing(lake):
    """The same run at the same time, once before and once after later days changed."""

    def once() -> bytes:
        with dg.DagsterInstance.ephemeral() as instance:
            run_id = "00000000-0000-4000-8000-000000000001"
            result = lake.materialize(LISTENS, ago(4), instance=instance, run_id=run_id)
        assert result.success
        return lake.bytes_of(LISTENS, ago(4))

    for back in range(3, 8):
        lake.put(PLAYS, ago(back), ["hey", "ho"])
    before = once()
    for back in range(4):
        lake.put(PLAYS, ago(back), ["later"] * 9)
        lake.put(RATINGS, ago(back), [1.0])
    assert once() == before

    # In a range with later days too, whose windows are read in the same run.
    lake.materialize(LISTENS, ago(5), ago(1))
    rows = lake.read(LISTENS, ago(4))
    assert [(row["song"], row["plays"]) for row in rows] == [("hey", 3), ("ho", 3)]

    lake.put(PLAYS, ago(4), ["other"])
    assert once() != before


def test_a_range_reads_each_input_day_once(lake, reads):
    for back in range(12):
        lake.put(PLAYS, ago(back), ["hey"])

    result = lake.materialize(LISTENS, ago(6), ago(1))

    assert len(metadata_by_day(result)) == 6
    plays = [day for partition, day in reads if partition == PLAYS]
    assert plays == [ago(back) for back in range(8, 0, -1)]


def test_a_function_gets_its_columns_and_days_only(lake):
    for back in range(4):
        lake.put(PLAYS, ago(back), ["hey"])

    result = lake.materialize(HITS, ago(2))

    assert result.success
    (seen,) = SEEN
    assert seen == {"day": ago(2), "columns": ["song", "date"], "days": [ago(3), ago(2)]}
    assert lake.read(HITS, ago(2))[0]["plays"] == 2
    assert lake.read(HITS, ago(2))[0]["generated_at"] == NOW


def test_a_window_may_end_before_the_day(lake):
    lake.put(ARTISTS, TODAY, ["Ada"])
    for back in range(4):
        lake.put(PLAYS, ago(back), ["hey"] * 10**back)

    result = lake.materialize(ROSTER, TODAY)

    assert result.success, first_error(result)
    assert lake.read(ROSTER, TODAY)[0]["plays"] == 110


def test_the_first_days_of_the_lake_have_shorter_windows(lake):
    first = lake.catalog[PLAYS].first_day
    lake.put(PLAYS, first, ["hey"])

    result = lake.materialize(ROSTER, first)

    assert result.success
    assert "nothing to compute it from" in str(
        result.get_asset_observation_events()[0].asset_observation_data
    )


def test_an_upstream_of_another_type_is_refused_with_what_to_do(lake, tmp_path):
    lake.put(PLAYS, ago(1), ["hey"])
    path = tmp_path / "old.parquet"
    pq.write_table(pa.table({"song": [1, 2]}), path)
    lake.store.put_whole(data_key(lake.catalog[PLAYS], ago(1)), path.read_bytes())

    result = lake.materialize(LISTENS, ago(1))

    assert not result.success
    assert f"column `song` is declared as string, and {ago(1)} has it as int64" in first_error(
        result
    )


def test_columns_that_went_stop_a_run_unless_its_tag_lets_them_go(lake, tmp_path):
    lake.put(PLAYS, ago(1), ["hey"])
    dataset = lake.catalog[LISTENS]
    path = tmp_path / "before.parquet"
    pq.write_table(pa.table({"song": ["hey"], "mood": ["blue"]}), path)
    lake.store.put_whole(data_key(dataset, ago(2)), path.read_bytes())
    lake.store.bump_version(dataset, [ago(2)])

    refused = lake.materialize(LISTENS, ago(1))
    assert not refused.success
    assert "column `mood` is in the lake" in first_error(refused)
    assert lake.store.days(dataset) == [ago(2)]

    allowed = lake.materialize(LISTENS, ago(1), tags={"lake/accept_schema_change": "true"})
    assert allowed.success
    assert lake.store.days(dataset) == [ago(2), ago(1)]


def test_days_in_few_words():
    assert in_ranges([ago(9), ago(5), ago(4), ago(3), ago(1)]) == (
        f"{ago(9)}, {ago(5)} to {ago(3)}, {ago(1)}"
    )


def test_a_day_that_failed_a_check_is_no_input_until_it_is_written_again(lake):
    for back in (1, 2, 3):
        lake.put(PLAYS, ago(back), ["hey"])
        lake.put(RATINGS, ago(back), [4.0])
    plays = lake.catalog[PLAYS]
    bad = DayFacts(etag="e", rows=1, failed={"unique_key": "1 rows repeat a key"}, blocks=True)
    warned = DayFacts(etag="e", rows=1, failed={"row_count": "few"})
    merge_facts(lake.store, plays, {ago(2): bad, ago(1): warned})

    left_out = lake.materialize(LISTENS, ago(2))
    assert left_out.success
    assert not left_out.get_asset_materialization_events()
    (said,) = left_out.get_asset_observation_events()
    assert said.event_specific_data.asset_observation.description == (
        f"{PLAYS} {ago(2)} failed a check: 1 rows repeat a key; it waits until that is mended"
    )

    assert lake.materialize(LISTENS, ago(1)).success
    assert lake.read(LISTENS, ago(1))[0]["plays"] == 2, "an older day that failed is left out"

    tags = {ACCEPT_FAILED_TAG: "true"}
    assert lake.materialize(LISTENS, ago(2), tags=tags).success
    assert lake.read(LISTENS, ago(2))[0]["plays"] == 2, "a person may say that it is well"

    merge_facts(lake.store, plays, {ago(2): DayFacts(etag="e", rows=1)})
    assert lake.materialize(LISTENS, ago(1)).success
    assert lake.read(LISTENS, ago(1))[0]["plays"] == 3
