"""Days that are missing are asked for again: which ones, how often, in how few runs."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from lake_assets.catalog import LakeLocation, data_key
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.catch_up import CATCH_UP_SENSOR, CATCH_UP_TAG, days_back
from lake_assets.storage.day_facts import DayFacts, merge_facts
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of
from tests.orchestration.derived_lake import ARTISTS, HITS, PLAYS, RATINGS, catalog

START = "dagster/asset_partition_range_start"
END = "dagster/asset_partition_range_end"


class Night:
    """The sensor at a moment of today: a bucket, and an instance that knows nothing of it."""

    def __init__(self, instance: dg.DagsterInstance, location: LakeLocation) -> None:
        self.instance = instance
        self.store = LakeStore(location)
        self.now = datetime.now(tz=UTC).replace(hour=6, minute=0)
        self.cursor = None
        self.env = settings_of(location)

    def ago(self, days: int) -> date:
        return self.now.date() - timedelta(days=days)

    def wrote(self, partition: str, *days: int, blocks: bool = False) -> None:
        dataset = catalog()[partition]
        for back in days:
            etag = self.store.put_whole(data_key(dataset, self.ago(back)), b"rows")
            facts = DayFacts(etag=etag, rows=1, failed={"not_empty": "no rows"}, blocks=blocks)
            if blocks:
                merge_facts(self.store, dataset, {self.ago(back): facts})

    def tick(self) -> list[tuple[tuple[str, ...], int, int]]:
        """What is asked for: datasets, and the first and last day as days ago."""
        defs = build_defs(catalog=catalog(), env=self.env, clock=lambda: self.now)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=defs
        ) as context:
            result = defs.resolve_sensor_def(CATCH_UP_SENSOR).evaluate_tick(context)
        self.cursor = result.cursor
        return [self._asked(request) for request in result.run_requests or ()]

    def _asked(self, request: dg.RunRequest) -> tuple[tuple[str, ...], int, int]:
        assert request.tags[CATCH_UP_TAG] == "true"
        keys = tuple(sorted(key.to_user_string() for key in request.asset_selection))
        first, last = (date.fromisoformat(request.tags[tag]) for tag in (START, END))
        return keys, (self.now.date() - first).days, (self.now.date() - last).days


@pytest.fixture
def night(bucket):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Night(instance, bucket)


def test_nothing_is_asked_for_where_nothing_was_ever_written(night):
    assert night.tick() == []


def test_what_shares_a_source_and_a_gap_is_one_run(night):
    night.wrote(PLAYS, 5, 6, 7)
    night.wrote(RATINGS, 5, 6, 7)
    assert night.tick() == [((PLAYS, RATINGS), 4, 1)]
    assert night.tick() == [], "asked for once within six hours"


def test_each_gap_is_its_own_range(night):
    night.wrote(PLAYS, 7, 5, 4, 2, 1)
    assert night.tick() == [((PLAYS,), 6, 6), ((PLAYS,), 3, 3)]


def test_a_day_is_tried_three_times(night):
    night.wrote(PLAYS, 7, 5, 4, 3, 2, 1)
    missing, asked = night.ago(6), 0
    for _ in range(12):
        asked += sum(night.ago(first) == missing for _, first, _ in night.tick())
        night.now += timedelta(hours=2)
    assert asked == 3


def test_a_snapshot_is_only_asked_for_today(night):
    night.wrote(ARTISTS, 3)
    assert night.tick() == [((ARTISTS,), 0, 0)]


def test_a_derived_day_waits_for_its_inputs(night):
    night.wrote(PLAYS, 4, 2, 1)
    night.wrote(HITS, 7, 6, 5)
    asked = night.tick()
    assert ((HITS,), 4, 4) in asked
    assert ((HITS,), 2, 1) in asked
    assert not [one for one in asked if one == ((HITS,), 3, 3)]


def test_what_is_not_due_for_an_hour_is_left_to_its_schedule(night):
    night.now = night.now.replace(hour=1)
    night.wrote(PLAYS, 7, 6, 5, 4, 3, 2)
    assert night.tick() == []


def test_it_can_be_turned_off_and_reaches_as_far_as_it_is_set(night):
    night.wrote(PLAYS, 12)
    night.env |= {"LAKE_CATCH_UP_DAYS": "0"}
    assert night.tick() == []
    night.env |= {"LAKE_CATCH_UP_DAYS": "12"}
    assert night.tick() == [((PLAYS,), 11, 1)]
    with pytest.raises(ValueError, match="number of days"):
        days_back({"LAKE_CATCH_UP_DAYS": "a week"})


def test_a_dataset_whose_last_day_is_before_the_window_is_caught_up_with(night):
    night.wrote(PLAYS, 40)
    assert night.tick() == [((PLAYS,), 7, 1)]


def test_what_the_bucket_has_is_there_whatever_dagster_knows(night):
    night.wrote(PLAYS, *range(1, 8))
    assert night.tick() == [], "a lost history makes no day missing"
    night.instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=[RATINGS], partition=night.ago(2).isoformat())
    )
    night.wrote(RATINGS, 7, 6, 5, 4, 3, 1)
    assert night.tick() == [((RATINGS,), 2, 2)], "nor does a history make up for an object"


def test_a_day_that_failed_what_blocks_is_asked_for_again(night):
    night.wrote(PLAYS, 7, 6, 5, 3, 2, 1)
    night.wrote(PLAYS, 4, blocks=True)
    assert night.tick() == [((PLAYS,), 4, 4)]
    # Somebody replaced it since: there is no verdict about what is there now.
    night.store.put_whole(data_key(catalog()[PLAYS], night.ago(4)), b"other rows")
    night.now += timedelta(hours=7)
    assert night.tick() == []
