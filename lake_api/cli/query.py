"""`lake query`.

Belongs here: showing one answer.
Does not belong here: deciding what a query may be (the service).
"""

from collections.abc import Sequence
from typing import Literal

import click
from rich.console import Console

from lake_api.cli import tables
from lake_api.cli.client import connect
from lake_api.cli.failure import CommandFailed
from lake_api.cli.problem import ProblemAnswer
from lake_api.cli.text import visible
from lake_api.doors import Door, in_words_of
from lake_api.query.schemas import MAX_ROWS, DatasetFreshness, QueryAnswer

Style = Literal["table", "json", "csv"]


def run_query(sql: str, *, limit: int, style: Style, api_url: str | None) -> None:
    """Ask and print.

    Raises:
        CommandFailed: the service refused, or could not run the query.
    """
    with connect(api_url) as client:
        try:
            answer, body = client.query(sql, limit=limit)
        except ProblemAnswer as refusal:
            refusal.point_into(sql)
            if style == "json":
                click.echo(refusal.body)
            raise
    if style == "json":
        click.echo(body)
    if answer.error is not None:
        raise CommandFailed(
            f"{visible(answer.error.detail)} [{answer.error.code}]",
            hint=in_words_of(Door.COMMAND, answer.error.hint or "")
            or ("Try again." if answer.error.retry else "Ask for less."),
        )
    if style == "csv":
        click.echo(tables.as_csv(answer.columns, answer.rows), nl=False)
    elif style == "table":
        more = f"--limit takes up to {MAX_ROWS}, or narrow the query"
        print_answer(answer, tables.stdout(), more=more)
        return
    print_warnings(answer.warnings, tables.stderr())


def print_answer(answer: QueryAnswer, console: Console, *, more: str) -> None:
    """The table, where it came from, and what to know about it; `more` is how to get the rest."""
    tables.print_rows(console, answer.columns, answer.rows, column_types=answer.column_types)
    rows = "1 row" if answer.row_count == 1 else f"{answer.row_count:,} rows"
    source = f" from {_sources(answer.freshness)}" if answer.freshness else ""
    console.print(f"{rows} in {answer.elapsed_ms:.1f} ms{source}", style="dim")
    if answer.truncated:
        console.print(f"There are more rows: {more}.", style="yellow")
    print_warnings(answer.warnings, console)


def print_warnings(warnings: Sequence[str], console: Console) -> None:
    """Each warning in yellow."""
    for warning in warnings:
        console.print(f"warning: {visible(in_words_of(Door.COMMAND, warning))}", style="yellow")


def _sources(freshness: Sequence[DatasetFreshness]) -> str:
    """`a, b, newest day 2026-11-21`, or the day beside each name where they differ."""
    days = {one.newest_day for one in freshness}
    names = ", ".join(one.sql_name for one in freshness)
    if len(days) == 1:
        (day,) = days
        return f"{names}, {'no data yet' if day is None else f'newest day {day}'}"
    return ", ".join(f"{one.sql_name} (newest day {one.newest_day or '-'})" for one in freshness)
