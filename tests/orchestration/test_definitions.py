import dagster as dg
import pytest

from lake_assets.catalog import Kind, PostgresSource, load_catalog
from lake_assets.orchestration.build import build_defs


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs(catalog=load_catalog(), env={})


def test_assets_do_not_change_unseen(definitions, snapshot):
    """Run `make snapshot` after a change that is meant."""
    assets = {}
    for asset in definitions.resolve_all_asset_specs():
        graph_node = definitions.resolve_asset_graph().get(asset.key)
        assets[asset.key.to_user_string()] = {
            "group": asset.group_name,
            "kinds": sorted(asset.kinds),
            "owners": list(asset.owners),
            "first_day": f"{asset.partitions_def.start:%Y-%m-%d}",
            "has_today": asset.partitions_def.end_offset == 1,
            "single_run": graph_node.backfill_policy.max_partitions_per_run is None,
            "pools": sorted(graph_node.pools or ()),
            "upstreams": sorted(dep.asset_key.to_user_string() for dep in asset.deps),
            "checks": sorted(key.name for key in graph_node.check_keys),
            "columns": [
                f"{column.name} {column.type}{'' if column.constraints.nullable else '!'}"
                for column in asset.metadata["dagster/column_schema"].columns
            ],
        }
    assert assets == snapshot


def test_schedules_do_not_change_unseen(definitions, snapshot):
    repository = definitions.get_repository_def()
    schedules = {
        schedule.name: {
            "cron": schedule.cron_schedule,
            "zone": schedule.execution_timezone,
            "default": schedule.default_status.value,
            "runs": schedule.description,
        }
        for schedule in repository.schedule_defs
    }
    assert schedules == snapshot


def test_every_derived_dataset_runs_by_itself(definitions):
    graph = definitions.resolve_asset_graph()
    conditions = {
        dataset.partition: graph.get(dg.AssetKey(dataset.asset_key)).automation_condition
        for dataset in load_catalog()
    }
    by_itself = {partition for partition, condition in conditions.items() if condition}
    assert by_itself == {
        dataset.partition for dataset in load_catalog() if dataset.kind is Kind.DERIVED
    }


def test_every_daily_task_has_a_schedule(definitions):
    said: set[str] = set()
    for schedule in definitions.get_repository_def().schedule_defs:
        said |= set(schedule.description.removeprefix("Runs ").removesuffix(".").split(", "))

    assert {dataset.daily_task for dataset in load_catalog()} <= said


def test_schedules_that_can_succeed_run_by_default_only_where_asked(definitions):
    def running(env):
        defs = build_defs(catalog=load_catalog(), env=env)
        return {
            schedule.name
            for schedule in defs.get_repository_def().schedule_defs
            if schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        }

    by_hand = {
        dataset.daily_task.removeprefix("lake.")
        for dataset in load_catalog()
        if dataset.kind is Kind.DERIVED
    }
    assert running({}) == set()
    schedules = definitions.get_repository_def().schedule_defs
    assert by_hand
    assert running({"LAKE_SCHEDULES": "on"}) == {one.name for one in schedules} - by_hand


def test_what_shares_a_source_and_a_time_shares_a_run(definitions):
    said = {
        schedule.name: schedule.description.removeprefix("Runs ").removesuffix(".").split(", ")
        for schedule in definitions.get_repository_def().schedule_defs
        if schedule.description.startswith("Runs ")
    }
    assert {"lake.collect_scc_cdtfa_taxable_sales", "lake.collect_scc_cdtfa_permits"} <= set(
        said["collect_cdtfa"]
    )
    of_the_night = {
        dataset.daily_task
        for dataset in load_catalog()
        if dataset.kind is Kind.EVENT and isinstance(dataset.source, PostgresSource)
    }
    assert set(said["platform_events"]) == of_the_night


def test_every_asset_reads_like_documentation(definitions):
    for asset in definitions.resolve_all_asset_specs():
        schema = asset.metadata["dagster/column_schema"]
        assert asset.description, asset.key
        assert asset.owners, asset.key
        assert all(column.description for column in schema.columns), asset.key
