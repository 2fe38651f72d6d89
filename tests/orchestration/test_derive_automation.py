from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from lake_assets.orchestration.automation import SENSOR_NAME
from lake_assets.orchestration.build import build_defs
from tests.orchestration.derived_lake import (
    ARTISTS,
    HITS,
    LISTENS,
    PLAYS,
    RATINGS,
    ROSTER,
    catalog,
)


def ago(days: int) -> date:
    return datetime.now(tz=UTC).date() - timedelta(days=days)


class Watch:
    """What the sensor would ask for, tick by tick, as partitions are written."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.defs = build_defs(catalog=catalog(), env={})
        self.cursor = None

    def wrote(self, partition: str, *days: date) -> None:
        for day in days:
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(asset_key=partition.split("/"), partition=day.isoformat())
            )

    def tick(self) -> dict[str, list[date]]:
        """The days requested, by dataset; a tick that asks for none is empty."""
        result = dg.evaluate_automation_conditions(
            defs=self.defs,
            instance=self.instance,
            cursor=self.cursor,
            asset_selection=dg.AssetSelection.all(),
        )
        self.cursor = result.cursor
        found = {}
        for partition in (LISTENS, HITS, ROSTER):
            keys = result.get_requested_partitions(dg.AssetKey(partition.split("/")))
            if keys:
                found[partition] = sorted(date.fromisoformat(key) for key in keys if key)
        return found

    def compute(self, requested: dict[str, list[date]]) -> None:
        for partition, days in requested.items():
            self.wrote(partition, *days)


@pytest.fixture
def watch() -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance)


def test_a_day_runs_once_when_its_inputs_are_there(watch):
    assert watch.tick() == {}

    watch.wrote(PLAYS, ago(2))
    assert watch.tick() == {HITS: [ago(2)]}, "listens waits for the ratings of the day"
    watch.wrote(RATINGS, ago(1))
    assert watch.tick() == {}, "ratings of another day are not those of the day"

    watch.wrote(RATINGS, ago(2))
    assert watch.tick() == {LISTENS: [ago(2)]}
    assert watch.tick() == {}, "asked for once, run or not"


def test_what_was_there_before_the_sensor_is_computed(watch):
    watch.wrote(PLAYS, *(ago(back) for back in range(1, 61)))
    watch.wrote(RATINGS, *(ago(back) for back in range(1, 61)))

    days = [ago(back) for back in range(60, 0, -1)]
    assert watch.tick() == {HITS: days, LISTENS: days}


def test_a_rewritten_input_refreshes_what_is_computed_from_it(watch):
    days = [ago(back) for back in range(30, 0, -1)]
    watch.wrote(PLAYS, *days)
    watch.wrote(RATINGS, *days)
    watch.compute(watch.tick())
    assert watch.tick() == {}

    watch.wrote(RATINGS, ago(20))
    assert watch.tick() == {LISTENS: [ago(20), ago(19)]}, "windows of two days"

    watch.wrote(PLAYS, ago(10))
    requested = watch.tick()
    assert requested == {
        LISTENS: [ago(10), ago(9), ago(8)],
        HITS: [ago(10), ago(9)],  # a window of ten days, refreshed one day on
    }
    watch.compute(requested)
    assert watch.tick() == {}

    watch.wrote(PLAYS, ago(1))
    assert watch.tick() == {LISTENS: [ago(1)], HITS: [ago(1)]}, "later days have no inputs yet"


def test_an_input_written_between_request_and_next_tick_is_not_lost(watch):
    watch.wrote(PLAYS, ago(5))
    watch.wrote(RATINGS, ago(5))
    assert watch.tick() == {HITS: [ago(5)], LISTENS: [ago(5)]}

    watch.wrote(RATINGS, ago(5))

    assert watch.tick() == {LISTENS: [ago(5)]}


def test_what_was_computed_by_hand_after_its_input_is_not_computed_again(watch):
    watch.wrote(PLAYS, ago(3))
    watch.compute(watch.tick())
    watch.wrote(PLAYS, ago(3))
    watch.wrote(HITS, ago(3))

    assert watch.tick() == {}


def test_a_window_that_ends_the_day_before_waits_for_that_day(watch):
    watch.wrote(ARTISTS, ago(0))
    assert watch.tick() == {}

    watch.wrote(PLAYS, ago(1))

    assert watch.tick()[ROSTER] == [ago(0)]


def test_nothing_starts_while_an_input_is_being_written(watch):
    watch.wrote(PLAYS, ago(4))
    run = watch.instance.create_run_for_job(
        job_def=watch.defs.resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({dg.AssetKey(PLAYS)}),
        tags={"dagster/partition": ago(4).isoformat()},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert watch.tick() == {}

    watch.instance.report_run_canceled(run)

    assert watch.tick() == {HITS: [ago(4)]}


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.keys`:DeprecationWarning")
def test_many_days_are_few_runs(watch):
    watch.wrote(PLAYS, *(ago(back) for back in range(1, 61)))
    watch.wrote(RATINGS, *(ago(back) for back in range(1, 61)))
    sensor = watch.defs.resolve_sensor_def(SENSOR_NAME)

    asked = sensor.evaluate_tick(
        dg.build_sensor_context(
            instance=watch.instance,
            definitions=watch.defs,
            sensor_name=SENSOR_NAME,
        )
    )

    (request,) = asked.run_requests
    assert request.requires_backfill_daemon()


def test_the_ui_says_why(watch):
    def labels(condition) -> set[str]:
        own = {condition.get_label()} if condition.get_label() else set()
        return own.union(*(labels(child) for child in condition.children))

    graph = watch.defs.resolve_asset_graph()
    condition = graph.get(dg.AssetKey(ROSTER.split("/"))).automation_condition
    assert labels(condition) == {
        "run by itself",
        "there is something new",
        "it was never computed, and its inputs have come",
        "an input that it is computed from was written again",
        "the inputs of the day are there",
        "neither it nor an input is being written",
        "any_deps_in_progress",
        "in_progress",
    }


@pytest.mark.parametrize(
    ("env", "status"),
    [
        ({}, dg.DefaultSensorStatus.STOPPED),
        ({"LAKE_SCHEDULES": "on"}, dg.DefaultSensorStatus.RUNNING),
    ],
)
def test_the_switch_of_the_schedules_is_that_of_the_sensor(env, status):
    defs = build_defs(catalog=catalog(), env=env)
    assert defs.resolve_sensor_def(SENSOR_NAME).default_status is status
    schedules = defs.get_repository_def().schedule_defs
    derived = [each for each in schedules if each.name in {"count_listens", "list_roster"}]
    assert {each.default_status for each in derived} == {dg.DefaultScheduleStatus.STOPPED}
