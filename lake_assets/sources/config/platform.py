"""Settings of reading the platform database."""

from lake_assets.sources.config.model import Upstream, shared_settings

PLATFORM = Upstream(
    name="platform",
    title="Exports of the platform database",
    settings=shared_settings("LAKE_PLATFORM_", "LAKE_LATE_ROWS_"),
)
