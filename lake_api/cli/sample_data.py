"""`lake sample-data`.

Belongs here: which database is filled, and showing how it goes.
Does not belong here: the rows (`lake_assets.sample_data`).
"""

import json
from datetime import UTC, date, datetime, timedelta

import click
import psycopg

from lake_api.cli import tables
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.running import require_running
from lake_api.cli.text import visible
from lake_assets.catalog import Catalog, PostgresSource, load_catalog
from lake_assets.sample_data import (
    SampleDataBroken,
    SampleDataRefused,
    SampleReport,
    SampleSpec,
    load_sample_data,
)


def run_sample_data(
    *,
    days: int,
    rows_per_day: int,
    seed: int,
    last_day: date | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Fill the database and print what was written.

    Raises:
        CommandFailed: there is no database that may be filled, or it does not answer.
    """
    url = database_url or _embedded_database()
    spec = SampleSpec(
        last_day=last_day or datetime.now(tz=UTC).date() - timedelta(days=1),
        days=days,
        rows_per_day=rows_per_day,
        seed=seed,
    )
    try:
        report = _load(url, load_catalog(), spec)
    except SampleDataRefused as error:
        raise CommandFailed(
            str(error), hint="Nothing was changed; give the URL of an empty database."
        ) from error
    except SampleDataBroken as error:
        raise CommandFailed(
            str(error),
            hint="The database is all right: report this with the dataset's declaration.",
        ) from error
    except psycopg.Error as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise CommandFailed(
            f"the database did not take it: {visible(why)}", hint=_what_to_do(error)
        ) from error
    if as_json:
        click.echo(json.dumps(_facts(spec, report), indent=2))
        return
    first_day = spec.last_day - timedelta(days=spec.days - 1)
    click.echo(
        f"{report.rows:,} rows in {len(report.tables)} tables, {first_day} to {spec.last_day}, "
        f"in {report.duration_s:.1f} s"
    )


def _what_to_do(error: psycopg.Error) -> str:
    """By the class of the error's SQLSTATE; without one, there was no answer at all."""
    match (error.sqlstate or "")[:2]:
        case "" | "08" | "28" | "3D":
            return "Check --database-url: host, port, role, password and name of the database."
        case "25" | "42":
            return "Check --database-url: it needs a role that may create tables and write."
        case "53":
            return "Make room on the database server, or ask for less: --days, --rows-per-day."
        case _:
            return "Try again; the tables that were filled so far stay."


def _embedded_database() -> str:
    url = require_running().owner_database_url
    if url is None:
        raise CommandFailed(
            "the platform database is your own, and sample data goes nowhere unasked",
            hint="Name the database to fill with --database-url.",
        )
    return url


def _load(url: str, catalog: Catalog, spec: SampleSpec) -> SampleReport:
    total = sum(isinstance(dataset.source, PostgresSource) for dataset in catalog)
    with live_line(tables.stderr()) as line:
        done = 0

        def follow(_partition: str, _rows: int) -> None:
            nonlocal done
            done += 1
            line("tables filled", done=done, total=total)

        return load_sample_data(url, catalog, spec, progress=follow)


def _facts(spec: SampleSpec, report: SampleReport) -> dict[str, object]:
    return {
        "first_day": (spec.last_day - timedelta(days=spec.days - 1)).isoformat(),
        "last_day": spec.last_day.isoformat(),
        "rows": report.rows,
        "duration_s": round(report.duration_s, 3),
        "tables": {table.table: table.rows for table in report.tables},
    }
