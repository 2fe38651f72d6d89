"""What a run over an outside source reports, day by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from lake_assets.catalog import Catalog
from lake_assets.orchestration.build import build_defs
from lake_assets.sources.errors import NotPublishedYet, SourceMismatch
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of
from tests.orchestration import charts
from tests.sources.conftest import failure, metadata, observed

KEY = dg.AssetKey(charts.DATASET.asset_key)
TODAY = date(2026, 11, 23)
DAYS = [TODAY - timedelta(days=back) for back in (4, 3, 2, 1)]


@dataclass
class Charts:
    """One dataset, its bucket and its instance."""

    env: dict[str, str]
    store: LakeStore
    instance: dg.DagsterInstance

    @property
    def defs(self) -> dg.Definitions:
        return build_defs(
            catalog=Catalog([charts.DATASET]),
            env=self.env,
            clock=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC),
        )

    def run(self, first: date, last: date, **tags: str):
        ends = {
            "dagster/asset_partition_range_start": f"{first}",
            "dagster/asset_partition_range_end": f"{last}",
        }
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, raise_on_error=False, tags=ends | tags
        )

    @property
    def materialized(self) -> set[date]:
        return {date.fromisoformat(key) for key in self.instance.get_materialized_partitions(KEY)}

    def tick(self) -> dg.RunRequest | dg.SkipReason:
        schedule = self.defs.resolve_schedule_def("collect_charts")
        now = datetime(2026, 11, 23, 1, tzinfo=UTC)
        with dg.build_schedule_context(self.instance, scheduled_execution_time=now) as context:
            data = schedule.evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)


@pytest.fixture
def source(bucket, tmp_path) -> Iterator[Charts]:
    charts.PLANNED.clear()
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield Charts(
            env=settings_of(bucket) | {"CHARTS_API_KEY": "k"},
            store=LakeStore(bucket),
            instance=instance,
        )


def test_a_day_that_is_not_published_is_missing_among_days_that_are_there(source):
    charts.PLANNED[DAYS[1]] = NotPublishedYet("comes at noon")

    result = source.run(DAYS[0], DAYS[3])

    assert result.success
    there = {DAYS[0], DAYS[2], DAYS[3]}
    assert source.materialized == set(source.store.days(charts.DATASET)) == there
    assert observed(result) == {f"{DAYS[1]}": "not published yet: comes at noon"}
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert all(check.passed for check in checks.values())
    del checks["newest_day"]
    assert {check.metadata["days_checked"].value for check in checks.values()} == {3}


def test_days_out_of_reach_are_missing_and_say_why(source):
    result = source.run(TODAY - timedelta(days=6), DAYS[0])

    assert source.materialized == {TODAY - timedelta(days=5), DAYS[0]}
    assert observed(result) == {"2026-11-17": "out of reach: charts are kept for 5 days"}


def test_days_that_were_stored_before_a_failure_stay_materialized(source):
    charts.PLANNED[DAYS[2]] = SourceMismatch("a page for people")

    result = source.run(DAYS[0], DAYS[3])

    assert failure(result).endswith("Charts: a page for people")
    assert source.materialized == set(source.store.days(charts.DATASET)) == {DAYS[0], DAYS[1]}

    charts.PLANNED.clear()
    again = source.run(DAYS[0], DAYS[3])
    assert source.materialized == set(DAYS)
    assert [day for day, said in metadata(again).items() if "reason" in said] == [
        f"{day}" for day in DAYS[:2]
    ]


def test_a_materialization_says_what_was_written_and_by_which_code(source):
    result = source.run(TODAY, TODAY)

    (event,) = result.get_asset_materialization_events()
    said = {name: value.value for name, value in event.materialization.metadata.items()}
    assert said["rows"] == said["dagster/partition_row_count"] == 1
    assert said["source"] == "api:charts"
    assert [column.name for column in said["dagster/column_schema"].columns][:1] == ["name"]
    (asset,) = source.defs.resolve_all_asset_specs()
    assert event.materialization.tags["dagster/code_version"] == asset.code_version
    checks = result.get_asset_check_evaluations()
    assert {check.target_materialization_data.run_id for check in checks} == {result.run_id}


def test_the_schedule_of_a_source_without_its_key_skips_and_says_which(source):
    tick = source.tick()
    assert tick.tags["dagster/asset_partition_range_start"] == "2026-11-20"

    del source.env["CHARTS_API_KEY"]
    assert source.tick().skip_message == "Charts is not configured: set CHARTS_API_KEY"

    source.env |= {"CHARTS_API_KEY": "k", "CHARTS_REQUESTS_PER_S": "fast"}
    assert source.tick().skip_message == "Charts: CHARTS_REQUESTS_PER_S must be a number above 0"
