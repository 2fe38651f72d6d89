"""The forecasts through Dagster: stored days without rows, settings, and what came of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from lake_assets.catalog import Catalog, load_catalog
from lake_assets.orchestration.build import build_defs
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter
from tests.conftest import settings_of
from tests.orchestration.derived_lake import DerivedLake

DAY = date(2026, 11, 22)
"""A Sunday."""
REQUESTS, CALLS = "mcp_request_logs", "platform/llm_token_usage"
VOLUME = "derived/predictions/request_volume_forecast"
COST = "derived/predictions/token_cost_forecast"
MONTH = "derived/predictions/month_end_projection"
ACCURACY = "derived/predictions/forecast_accuracy"


class Lake(DerivedLake):
    def store_day(self, partition: str, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
        dataset = self.catalog[partition]
        moment = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
        filled = [
            {
                column.name: row.get(column.name, _FILLERS.get(column.type.name.lower()))
                for column in dataset.columns
                if column.required or column.name in row
            }
            | {dataset.watermark: moment}
            for row in rows
        ]
        schema = arrow_schema(dataset)
        writer = PartitionWriter(self.store, run_id="test", code_version="test", allow_shrink=True)
        writer.write(dataset, day, [pa.RecordBatch.from_pylist(filled, schema=schema)])
        self.store.bump_version(dataset, [day])


_FILLERS: Mapping[str, Any] = {
    "string": "x",
    "int64": 1,
    "float64": 1.0,
    "decimal": Decimal(1),
    "bool": True,
    "timestamp": datetime(2026, 11, 1, tzinfo=UTC),
}


@pytest.fixture
def lake(bucket, tmp_path) -> Lake:
    every = load_catalog()
    datasets = Catalog([every[name] for name in (REQUESTS, CALLS, VOLUME, COST, MONTH, ACCURACY)])
    env = {**settings_of(bucket), "LAKE_MONTHLY_BUDGET_USD": "100", "LAKE_HOLIDAYS": "DE"}
    return Lake(
        catalog=datasets,
        store=LakeStore(bucket),
        defs=build_defs(
            catalog=datasets, env=env, clock=lambda: datetime(2026, 11, 24, 5, tzinfo=UTC)
        ),
        instance=dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)),
    )


def test_a_lake_that_is_used_monday_to_friday_is_forecast_with_quiet_weekends(lake):
    for back in range(49, -2, -1):
        day = DAY - timedelta(days=back)
        works = day.weekday() < 5
        lake.store_day(REQUESTS, day, [{"agent_id": "a", "service": "s"}] * (20 * works))
        lake.store_day(CALLS, day, [{"agent_id": "a", "cost_usd": Decimal(5)}] * works)
    for dataset in (VOLUME, COST, MONTH):
        assert lake.materialize(dataset, DAY).success, dataset

    volume = [row for row in lake.read(VOLUME, DAY) if row["series_key"] == "total"]
    weekend = [row for row in volume if row["target_date"].weekday() >= 5]
    assert [row["predicted_requests"] for row in weekend] == pytest.approx([0.0] * 4, abs=0.5)
    assert sum(row["predicted_requests"] for row in volume) == pytest.approx(200, rel=0.03)
    assert {row["status"] for row in volume} == {"ok"}

    (projected,) = (row for row in lake.read(MONTH, DAY) if row["series_key"] == "total")
    assert projected["month_to_date_usd"] == 75
    assert float(projected["projected_cost_usd"]) == pytest.approx(105, rel=0.03)
    assert projected["budget_usd"] == 100
    assert projected["budget_used_up_on"] == date(2026, 11, 27)

    following = DAY + timedelta(days=1)
    assert lake.materialize(ACCURACY, following).success
    came = lake.read(ACCURACY, following)
    assert {row["measure"] for row in came} == {"requests", "cost_usd"}
    (total,) = (r for r in came if (r["measure"], r["series_key"]) == ("requests", "total"))
    assert (total["forecast_date"], total["horizon_days"]) == (DAY, 1)
    assert total["actual"] == 20
    assert total["error"] == total["actual"] - total["predicted"]
    assert total["in_95"]
