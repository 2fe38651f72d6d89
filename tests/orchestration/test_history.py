"""Forgetting: what people and sensors look at stays, the rest goes."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from lake_assets.orchestration.history import build_history, prune

PARTITIONS = dg.DailyPartitionsDefinition("2026-11-01", end_date="2026-11-06")
DAYS = PARTITIONS.get_partition_keys()
A = dg.AssetKey(["music", "plays"])
SOON = datetime.now(tz=UTC) + timedelta(days=1)
"""With this limit everything that a test did is old."""

will_fail: set[str] = set()


@dg.asset(key=A, partitions_def=PARTITIONS, check_specs=[dg.AssetCheckSpec("not_empty", asset=A)])
def plays(context: dg.AssetExecutionContext) -> Iterator[object]:
    context.log.info("a line " * 200)
    if context.partition_key in will_fail:
        raise dg.Failure(f"no rows on {context.partition_key}")
    yield dg.Output(1, metadata={"rows": 1})
    yield dg.AssetCheckResult(passed=context.partition_key != DAYS[3])


@dg.job
def idle() -> None:
    """Nothing; for a run that is under way."""


QUIET = {"telemetry": {"enabled": False}}


@dataclass(frozen=True)
class Past:
    """A storage with a past, which each test gets a copy of."""

    directory: Path
    runs: list[str]


def opened(directory: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(directory), overrides=QUIET)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Four days twice; one that only failed; one that failed at last; one that never ran."""
    directory = tmp_path_factory.mktemp("past")
    with opened(directory) as instance:
        will_fail.clear()
        runs = [run(instance, day) for day in (*DAYS[:4], *DAYS[:2])]
        will_fail.update({DAYS[4], DAYS[0]})
        runs += [run(instance, DAYS[4]), run(instance, DAYS[0])]
    return Past(directory, runs)


@pytest.fixture
def instance(past: Past, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(past.directory, tmp_path, dirs_exist_ok=True)
    with opened(tmp_path) as instance:
        yield instance


@pytest.fixture
def runs(past: Past) -> list[str]:
    return past.runs


def run(instance: dg.DagsterInstance, day: str) -> str:
    return dg.materialize(
        [plays], partition_key=day, instance=instance, raise_on_error=False
    ).run_id


def facts(instance: dg.DagsterInstance) -> dict[str, object]:
    """All that the UI, catch_up and the alarms decide by."""
    (record,) = instance.get_asset_records([A])
    check = dg.AssetCheckKey(A, "not_empty")
    executions = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    return {
        "status": instance.get_status_by_partition(A, DAYS, PARTITIONS),
        "materialized": instance.get_materialized_partitions(A),
        "last": record.asset_entry.last_materialization_storage_id,
        "by day": instance.event_log_storage.get_latest_storage_id_by_partition(
            A, dg.DagsterEventType.ASSET_MATERIALIZATION
        ),
        "check": [(one.run_id, one.status, one.id) for one in executions.values()],
        "runs": [(one.run_id, one.status, one.tags) for one in instance.get_runs()],
    }


def test_what_decides_stays_and_the_rest_goes(
    instance: dg.DagsterInstance, runs: list[str], tmp_path: Path
) -> None:
    before = facts(instance)
    assert {str(status) for status in before["status"].values()} == {  # pyright: ignore[reportAttributeAccessIssue]
        *("AssetPartitionStatus.MATERIALIZED", "AssetPartitionStatus.FAILED"),
    }
    pruned = prune(instance, before=SOON)
    assert pruned is not None
    assert pruned.runs == len(runs)
    assert min(pruned.events, pruned.executions, pruned.freed_bytes) > 0
    assert facts(instance) == before

    with opened(tmp_path) as another:
        # Nor where nothing is cached of what was read before.
        another.event_log_storage.wipe_asset_cached_status(A)
        assert facts(another) == before
    failures = instance.all_logs(runs[-1], of_type=dg.DagsterEventType.STEP_FAILURE)
    assert DAYS[0] in str(failures[0].dagster_event)
    assert instance.get_run_stats(runs[0]).end_time
    materializations = instance.fetch_materializations(A, limit=100).records
    assert len(materializations) == 4


def test_pruning_again_finds_nothing_and_what_comes_later_is_found(
    instance: dg.DagsterInstance,
) -> None:
    prune(instance, before=SOON)
    again = prune(instance, before=SOON)
    assert again is not None
    assert (again.runs, again.events, again.executions) == (0, 0, 0)
    newest = facts(instance)["last"]
    will_fail.clear()
    latest = run(instance, DAYS[4])
    after = facts(instance)
    assert after["last"] > newest  # pyright: ignore[reportOperatorIssue]
    assert after["materialized"] == set(DAYS)
    assert after["check"][0][0] == latest  # pyright: ignore[reportIndexIssue]


def test_what_is_younger_stays_whole(instance: dg.DagsterInstance, runs: list[str]) -> None:
    logs = [len(instance.all_logs(run_id)) for run_id in runs]
    pruned = prune(instance, before=datetime.now(tz=UTC) - timedelta(days=1))
    assert pruned is not None
    assert (pruned.runs, pruned.events, pruned.executions) == (0, 0, 0)
    assert [len(instance.all_logs(run_id)) for run_id in runs] == logs


def test_a_run_under_way_is_left_alone(instance: dg.DagsterInstance) -> None:
    going = instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("still here", going)
    prune(instance, before=SOON)
    assert len(instance.all_logs(going.run_id)) == 1


def test_the_job_prunes_by_the_setting(instance: dg.DagsterInstance) -> None:
    later = SOON + timedelta(days=6)
    for days, left in (("30", 6), ("5", 4)):
        job, schedule = build_history(
            running=True, env={"LAKE_HISTORY_DAYS": days}, clock=lambda: later
        )
        assert job.execute_in_process(instance=instance).success
        assert len(instance.fetch_materializations(A, limit=100).records) == left
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_storage_of_another_kind_is_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert prune(instance, before=SOON) is None
