"""Settings of reading the platform database."""

from lake_assets.sources.config.model import SourceSetting, Upstream

PLATFORM = Upstream(
    name="platform",
    title="Exports of the platform database",
    settings=(
        SourceSetting(
            name="LAKE_PLATFORM_LOCK_TIMEOUT_S",
            default="10",
            sentence="Seconds that an export waits for a locked table before that one fails.",
        ),
        SourceSetting(
            name="LAKE_LATE_ROWS_DAYS",
            default="28",
            sentence="Days whose rows lake.late_rows compares with the database once a week.",
        ),
    ),
)
