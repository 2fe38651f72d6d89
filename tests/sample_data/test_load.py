"""Loading: the same spec gives the same rows, and nobody's tables are touched."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest

from lake_assets.catalog import Catalog, event, snapshot
from lake_assets.sample_data import (
    SampleDataRefused,
    SampleReport,
    SampleSpec,
    create_tables,
    late_rows,
    load_sample_data,
)
from lake_assets.sample_data.frame import Frames
from lake_assets.sample_data.load import batch
from lake_assets.sample_data.resolve import make
from lake_assets.sample_data.tables import sample_tables
from tests.sample_data.conftest import LAST_DAY, Ask

SMALL = SampleSpec(last_day=LAST_DAY, days=3, rows_per_day=60)

FINGERPRINT = """
import sys
from datetime import date
from lake_assets.catalog import load_catalog
from tests.sample_data.test_load import fingerprints
print(sorted(fingerprints(load_catalog()).items()))
"""


def fingerprints(
    catalog: Catalog, spec: SampleSpec = SMALL, *, day: date = LAST_DAY
) -> Mapping[str, str]:
    """A hash of all rows of each table on a day."""
    tables = sample_tables(catalog)
    frames = Frames(tables, spec, make)
    hashes: dict[str, str] = {}
    for partition, table in tables.items():
        digest = hashlib.sha256()
        for part, _ in enumerate(frames.parts(table, day)):
            digest.update(str(batch(frames.frame(table, day, part)).to_pylist()).encode())
        hashes[partition] = digest.hexdigest()
    return hashes


def test_same_rows_in_any_process(catalog: Catalog):
    outputs = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert outputs == {str(sorted(fingerprints(catalog).items()))}


def test_seed_changes_rows(catalog: Catalog):
    other = fingerprints(catalog, replace(SMALL, seed=8))
    same = {name for name, hashed in fingerprints(catalog).items() if other[name] == hashed}
    # Without rows on that day there is nothing to differ.
    assert same <= {"platform/developer_payouts", "platform/soc2_evidence", "platform/live_streams"}


def test_more_days_leave_the_others_alone(catalog: Catalog):
    for ago in range(3):
        day = LAST_DAY - timedelta(days=ago)
        longer = replace(SMALL, days=9)
        assert fingerprints(catalog, longer, day=day) == fingerprints(catalog, day=day)


def test_order_of_the_catalogue_does_not_matter(catalog: Catalog):
    turned = Catalog(reversed(tuple(catalog)))
    assert fingerprints(turned) == fingerprints(catalog)


def test_loading_twice_gives_the_same_tables(new_database: Callable[[str], str], catalog: Catalog):
    url = new_database("twice")
    seen: list[tuple[str, int]] = []
    first = load_sample_data(url, catalog, SMALL, progress=lambda *done: seen.append(done))
    assert seen == [(table.partition, table.rows) for table in first.tables]
    before = _content(url, catalog)
    second = load_sample_data(url, catalog, SMALL)
    assert first.rows == second.rows
    assert _content(url, catalog) == before


def _content(url: str, catalog: Catalog) -> Mapping[str, object]:
    content: dict[str, object] = {}
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        for partition, table in sample_tables(catalog).items():
            name = f'"{table.source.schema}"."{table.source.table}"'
            content[partition] = connection.execute(
                f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t"
            ).fetchone()
    return content


def test_tables_that_are_not_ours_stay(new_database: Callable[[str], str], catalog: Catalog):
    url = new_database("foreign")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE video_views (precious text)")
        connection.execute("INSERT INTO video_views VALUES ('kept')")
        with pytest.raises(SampleDataRefused, match="public.video_views"):
            load_sample_data(url, catalog, SMALL)
        assert connection.execute("SELECT precious FROM video_views").fetchall() == [("kept",)]
        assert connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall() == [(1,)]


def test_create_tables_makes_all_and_may_be_repeated(
    new_database: Callable[[str], str], catalog: Catalog
):
    url = new_database("empty")
    create_tables(url, catalog)
    create_tables(url, catalog)
    tables = sample_tables(catalog)
    with psycopg.connect(url) as connection:
        ((columns,),) = connection.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema NOT IN "
            "('pg_catalog', 'information_schema')"
        ).fetchall()
        keys = connection.execute(
            "SELECT table_name FROM information_schema.table_constraints "
            "WHERE constraint_type = 'PRIMARY KEY' AND table_schema <> 'pg_catalog'"
        ).fetchall()
    assert columns == sum(len(table.dataset.columns) for table in tables.values())
    assert {"agent_run_logs", "agent_workload", "webhook_deliveries"} <= {name for (name,) in keys}


def test_late_rows_are_added_to_a_past_day(new_database: Callable[[str], str], catalog: Catalog):
    url = new_database("late")
    load_sample_data(url, catalog, SMALL)
    day = LAST_DAY - timedelta(days=2)
    partitions = ("agent_run_log", "platform/webhook_deliveries")
    of_day = f"FROM agent_run_logs WHERE created_at::date = '{day}'"
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        ((before,),) = connection.execute(f"SELECT count(*) {of_day}").fetchall()
        first = late_rows(url, catalog, day, 3, partitions=partitions)
        second = late_rows(url, catalog, day, 2, partitions=partitions)
        after = connection.execute(f"SELECT count(*), count(DISTINCT run_id) {of_day}").fetchall()
    assert (first, second) == (dict.fromkeys(partitions, 3), dict.fromkeys(partitions, 2))
    everywhere = late_rows(url, catalog, day, 1)
    assert after == [(before + 5, before + 5)]
    events = [table for table in sample_tables(catalog).values() if not table.is_snapshot]
    assert len(everywhere) == len(events)
    assert sum(everywhere.values()) > 0.9 * len(events)


def test_a_new_dataset_needs_no_edit_here(new_database: Callable[[str], str]):
    """Names that no rule knows, every type, a shared table, a relation and a circle."""
    columns = """
        widget_id     string!    One id per widget.
        gadget_id     string     A relation.
        colour        string     A word. {red|green}
        blurb         string     Text.
        wobble        int64!     A number.
        fizz          float64    A number.
        is_round      bool       A flag.
        wobbled_at    timestamp  A time.
        started_at    timestamp!  A time.
        finished_at   timestamp  A time.
        launch_date   date       A day.
        worth         decimal    Money.
        extra         json       A document.
        created_at    timestamp!
    """
    widgets = event(
        "toys/widgets",
        "Widgets.",
        group="Toys",
        table="toys.widgets",
        tasks="lake.export_widgets",
        key="widget_id",
        columns=columns,
    )
    red = event(
        "toys/red_widgets",
        "The same table once more, with a column more.",
        group="Toys",
        table="toys.widgets",
        tasks="lake.export_red_widgets",
        columns=f"{columns}\n shine float64 How much.",
    )
    gadgets = snapshot(
        "toys/gadgets",
        "Gadgets.",
        group="Toys",
        table="toys.gadgets",
        tasks="lake.export_gadgets",
        key="gadget_id",
        columns="""
            gadget_id   string!  One id per gadget.
            widget_id   string   A circle.
            updated_at  timestamp!
        """,
    )
    url = new_database("toys")
    report = load_sample_data(
        url, Catalog([widgets, red, gadgets]), replace(SMALL, rows_per_day=400)
    )
    assert {table.partition for table in report.tables} == {"toys/widgets", "toys/gadgets"}
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) > 50, count(DISTINCT widget_id) = count(*), count(DISTINCT colour), "
            "count(DISTINCT blurb) > 3, count(DISTINCT wobble) > 3, count(DISTINCT fizz) > 3, "
            "count(DISTINCT is_round), count(wobbled_at) > 0, bool_and(started_at < finished_at), "
            "count(launch_date) > 0, count(DISTINCT worth) > 3, count(extra) > 0, count(shine) > 0 "
            "FROM toys.widgets"
        ).fetchone()
        joined = connection.execute(
            "SELECT count(*) > 0 FROM toys.widgets JOIN toys.gadgets USING (gadget_id)"
        ).fetchone()
        circle = connection.execute(
            "SELECT count(*) > 0 FROM toys.gadgets g JOIN toys.widgets w USING (widget_id)"
        ).fetchone()
    assert found == (True, True, 2, True, True, True, 2, True, True, True, True, True, True)
    assert {joined, circle} == {(True,), (False,)}


def test_importing_the_package_is_light():
    code = (
        "import sys, lake_assets.sample_data; "
        "print({'numpy', 'pyarrow', 'psycopg', 'dagster'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout
    assert found.strip() == "set()"


@pytest.mark.parametrize("wrong", [{"days": 0}, {"rows_per_day": 0}])
def test_a_spec_needs_days_and_rows(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="at least 1"):
        SampleSpec(last_day=LAST_DAY, **wrong)


def test_the_report_counts_what_is_there(report: SampleReport, ask: Ask):
    counts = {table.partition: table.rows for table in report.tables}
    assert ask("SELECT count(*) FROM agent_run_logs") == [(counts["agent_run_log"],)]
    assert report.rows == sum(counts.values())
    assert report.duration_s >= max(table.duration_s for table in report.tables)
