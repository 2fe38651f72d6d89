"""`lake describe` and `lake sample`.

Belongs here: one dataset on a terminal: what it is, and some rows.
Does not belong here: the list (`datasets`).
"""

from collections.abc import Mapping
from urllib.parse import quote

import click

from lake_api.cli import tables
from lake_api.cli.client import connect
from lake_api.cli.problem import refusals
from lake_api.cli.query import Style, print_warnings
from lake_api.cli.text import visible
from lake_api.datasets.schemas import ColumnInfo, DatasetInfo, SampleAnswer


def run_describe(name: str, *, as_json: bool, api_url: str | None) -> None:
    """Print everything about one dataset but its rows.

    Raises:
        CommandFailed: the service refused.
    """
    with connect(api_url) as client, refusals(as_json=as_json):
        told, body = client.ask("GET", f"/datasets/{quote(name)}", DatasetInfo)
    if as_json:
        click.echo(body)
        return
    console = tables.stdout()
    tables.print_facts(console, _facts(told))
    console.print()
    tables.print_rows(console, ("column", "type", "what"), [_column(one) for one in told.columns])
    console.print()
    console.print(visible(told.example_sql), style="dim")


def run_sample(
    name: str,
    *,
    params: Mapping[str, str | int | None],
    style: Style,
    api_url: str | None,
) -> None:
    """Print some rows of a dataset.

    Raises:
        CommandFailed: the service refused.
    """
    with connect(api_url) as client, refusals(as_json=style == "json"):
        told, body = client.ask(
            "GET", f"/datasets/{quote(name)}/sample", SampleAnswer, params=params
        )
    if style == "json":
        click.echo(body)
        return
    if style == "csv":
        click.echo(tables.as_csv(told.columns, told.rows), nl=False)
        print_warnings(told.warnings, tables.stderr())
        return
    console = tables.stdout()
    tables.print_rows(console, told.columns, told.rows, column_types=told.column_types)
    days = f"{told.days.first} to {told.days.last}" if told.days else "no day"
    console.print(f"{told.row_count} rows ({told.mode}) of {told.sql_name}, {days}", style="dim")
    print_warnings(told.warnings, console)


def _facts(told: DatasetInfo) -> list[tuple[str, str]]:
    days = told.days
    missing = f", {days.missing_count} missing" if days.missing_count else ""
    stored = f"{days.count}, {days.oldest} to {days.newest}{missing}" if days.count else "none yet"
    facts = {
        "table in SQL": told.sql_name,
        "partition": told.partition,
        "what": visible(told.summary),
        "kind": f"{told.kind}: {visible(told.kind_meaning)}",
        "one row per": ", ".join(told.key),
        "time column": told.time_column,
        "days": stored + (" (stale)" if told.stale else ""),
        "bytes": f"{told.size_bytes:,}",
        "computed from": ", ".join(told.upstreams),
        "schedule": f"{told.schedule.cron} (UTC)"
        + (f"; {told.schedule.polls} for the running day" if told.schedule.polls else ""),
        "notes": visible(" ".join(told.notes.split())),
    }
    return [(name, value) for name, value in facts.items() if value]


def _column(one: ColumnInfo) -> tuple[str, str, str]:
    values = f" {{{', '.join(one.values)}}}" if one.values else ""
    return one.name, one.type + ("" if one.required else "?"), visible(one.description + values)
