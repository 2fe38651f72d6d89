from datetime import date

import pytest

from lake_assets.catalog import Catalog, CatalogError, Schedule, Task, derived, event, snapshot

COLUMNS = """
    id          string!    One id.
    created_at  timestamp!
    updated_at  timestamp!
"""


def plays(**changes):
    options = {
        "group": "Music",
        "table": "music.plays",
        "tasks": "lake.export_plays lake.backfill_plays",
        "columns": COLUMNS,
        "key": "id",
    } | changes
    return event("music/plays", "Plays.", **options)


def charts(upstreams="music/plays", **changes):
    options = {"group": "Music", "upstreams": upstreams, "tasks": "lake.chart", "columns": COLUMNS}
    return derived("derived/charts", "Charts.", **options | {"watermark": "created_at"} | changes)


def test_every_name_follows_from_the_partition():
    dataset = plays()

    assert dataset.sql_name == "music_plays"
    assert dataset.asset_key == ("music", "plays")
    assert dataset.daily_task == "lake.export_plays"
    assert str(dataset.source) == "postgres:music.plays"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"columns": COLUMNS + "date date  A day."}, "no column may be called `date`"),
        ({"watermark": "seen_at"}, "its watermark `seen_at` is no column"),
        ({"key": "id other"}, "its key column `other` is no column"),
        ({"columns": COLUMNS + "id string  Again."}, "a column is declared twice"),
        ({"columns": COLUMNS + "Name string  A name."}, "`Name` is not snake_case"),
        ({"columns": COLUMNS + "mystery string"}, "`mystery` has no description"),
        ({"tasks": ""}, "it has no trigger task"),
    ],
)
def test_a_declaration_that_cannot_stand_is_refused(changes, why):
    with pytest.raises(CatalogError, match="dataset music/plays") as refusal:
        plays(**changes)

    assert why in str(refusal.value)


def test_a_partition_name_must_be_snake_case():
    with pytest.raises(CatalogError, match="`Plays`"):
        event("music/Plays", "x", group="g", table="t", tasks="lake.x", columns=COLUMNS)


def test_the_catalogue_refuses_what_cannot_stand_together():
    with pytest.raises(CatalogError, match="declared twice"):
        Catalog([plays(), plays()])
    clash = event("music_plays", "x", group="g", table="t", tasks="lake.y", columns=COLUMNS)
    with pytest.raises(CatalogError, match="share the SQL name `music_plays`"):
        Catalog([plays(), clash])
    with pytest.raises(CatalogError, match="task lake.chart is declared twice"):
        Catalog([plays(tasks="lake.chart"), charts()])
    with pytest.raises(CatalogError, match="unknown upstream `music/nothing`"):
        Catalog([plays(), charts(upstreams="music/nothing")])
    with pytest.raises(CatalogError, match="upstream of itself"):
        Catalog([charts(upstreams="derived/charts")])


def test_the_catalogue_finds_datasets_and_tasks_by_every_name():
    upkeep = Task(name="lake.tidy", partition=None, description="Tidy.")
    catalog = Catalog([plays(), charts()], [upkeep])

    assert catalog["music/plays"] is catalog.by_sql_name["music_plays"]
    assert catalog.tasks["lake.export_plays"].backfill is False
    assert catalog.tasks["lake.backfill_plays"].backfill is True
    assert catalog.tasks["lake.tidy"].partition is None
    assert list(catalog.groups) == ["Music"]
    assert "music/plays" in catalog
    assert len(catalog) == 2


def test_a_schedule_says_which_days_a_tick_writes():
    nightly = Schedule(cron="30 0 * * *", newest_lag_d=1, oldest_lag_d=2)

    assert nightly.days(date(2026, 3, 1)) == (date(2026, 2, 27), date(2026, 2, 28))


def test_the_newest_partition_is_today_only_where_a_run_writes_its_own_day():
    state = snapshot("music/artists", "x", group="g", table="t", tasks="lake.a", columns=COLUMNS)

    assert state.newest_day(date(2026, 11, 23)) == date(2026, 11, 23)
    assert plays().newest_day(date(2026, 11, 23)) == date(2026, 11, 22)
