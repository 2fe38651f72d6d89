"""An outside source that does what a test tells it, day by day."""

from collections.abc import Iterator
from datetime import date

from lake_assets.catalog import Schedule, external
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.config import SourceSetting, Upstream
from lake_assets.sources.errors import SourceError

PLANNED: dict[date, SourceError] = {}
"""Days on which the source does not answer with a row, and what it does instead."""

CHARTS = Upstream(
    name="charts",
    title="Charts",
    settings=(
        SourceSetting(name="CHARTS_BASE_URL", sentence="Where.", default="http://127.0.0.1:9"),
        SourceSetting(name="CHARTS_REQUESTS_PER_S", sentence="Pace.", default="1000"),
        SourceSetting(name="CHARTS_API_KEY", sentence="Key.", required=True, secret=True),
    ),
)


def collect(ask: Ask) -> Iterator[Row]:
    if ask.day in PLANNED:
        raise PLANNED[ask.day]
    yield {"name": f"song of {ask.day}"}


COLLECTOR = Collector(
    upstream=CHARTS, collect=collect, reach_d=5, gone="charts are kept for 5 days"
)

DATASET = external(
    "music/charts",
    "Charts.",
    group="Music",
    upstream="charts",
    pool="charts",
    collect="tests.orchestration.charts:COLLECTOR",
    tasks="lake.collect_charts",
    watermark="collected_at",
    schedule=Schedule(cron="0 1 * * *", newest_lag_d=1, oldest_lag_d=3),
    key="name",
    columns="name string! Name.\ncollected_at timestamp! When.",
)
