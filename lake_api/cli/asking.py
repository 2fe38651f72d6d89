"""Commands that ask the service as an agent does: queries, datasets, jobs, exports.

Belongs here: what can be typed of these.
Does not belong here: what it does. That is in the modules beside this one, imported when their
command runs.
"""
# ruff: noqa: PLC0415 - see above

import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click

from lake_api.cli.options import (
    DAY,
    POSITIVE,
    api_url_option,
    as_csv_option,
    as_json_option,
    chosen_style,
)


@click.command()
@click.argument("sql")
@click.option("--limit", type=int, default=100, show_default=True, help="Rows, at most 1000.")
@as_json_option
@as_csv_option
@api_url_option
def query(*, sql: str, limit: int, as_json: bool, as_csv: bool, api_url: str | None) -> None:
    """Ask one SELECT.

    With `-` in its place, the SQL is read from standard input.
    """
    from lake_api.cli.query import run_query

    style = chosen_style(as_json=as_json, as_csv=as_csv)
    text = sys.stdin.read() if sql == "-" else sql
    run_query(text, limit=limit, style=style, api_url=api_url)


@click.command()
@click.option("--search", "text", help="Only those with this text in name or summary.")
@click.option("--declared", is_flag=True, help="What this installation declares, with tasks.")
@as_json_option
@api_url_option
def datasets(*, text: str | None, declared: bool, as_json: bool, api_url: str | None) -> None:
    """List datasets and their newest days.

    Those that the service lets you read; with --declared no service is asked.
    """
    from lake_api.cli.datasets import run_datasets, run_declared

    if not declared:
        run_datasets(text=text, as_json=as_json, api_url=api_url)
    elif text is None:
        run_declared(as_json=as_json)
    else:
        raise click.UsageError("Choose either --declared or --search.")


@click.command()
@click.argument("name")
@as_json_option
@api_url_option
def describe(*, name: str, as_json: bool, api_url: str | None) -> None:
    """Show columns and days of a dataset.

    NAME is its table in SQL, or its partition name.
    """
    from lake_api.cli.describe import run_describe

    run_describe(name, as_json=as_json, api_url=api_url)


@click.command()
@click.argument("name")
@click.option("--rows", type=POSITIVE, default=10, show_default=True, help="Rows, at most 100.")
@click.option(
    "--mode",
    type=click.Choice(["first", "random", "per_day"]),
    default="first",
    show_default=True,
    help="As stored, at random, or so many of each day.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same rows.")
@click.option("--date", "day", type=DAY, help="The day to draw from.")
@as_json_option
@as_csv_option
@api_url_option
def sample(
    *,
    name: str,
    rows: int,
    mode: str,
    seed: int,
    day: datetime | None,
    as_json: bool,
    as_csv: bool,
    api_url: str | None,
) -> None:
    """Show some rows of a dataset."""
    from lake_api.cli.describe import run_sample

    date = day.date().isoformat() if day else None
    params: dict[str, str | int | None] = {"rows": rows, "mode": mode, "seed": seed, "date": date}
    run_sample(
        name, params=params, style=chosen_style(as_json=as_json, as_csv=as_csv), api_url=api_url
    )


@click.command()
@click.argument("sql", required=False)
@click.option("--job", "job_id", type=click.UUID, help="Rows of this job, in place of SQL.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["csv", "jsonl", "parquet", "arrow", "avro"]),
    default="csv",
    show_default=True,
    help="What the file is.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "zstd"]),
    default="none",
    show_default=True,
    help="Parquet is compressed inside, others as a whole.",
)
@click.option("--max-rows", type=POSITIVE, help="Rows to write at most.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default the name that the service gives it, here.",
)
@as_json_option
@api_url_option
def export(
    *,
    sql: str | None,
    job_id: UUID | None,
    file_format: str,
    compression: str,
    max_rows: int | None,
    output: Path | None,
    as_json: bool,
    api_url: str | None,
) -> None:
    """Download a query's rows as a file.

    With `-` in its place, the SQL is read from standard input.
    """
    from lake_api.cli.export import run_export

    if (sql is None) == (job_id is None) or (job_id and max_rows):
        raise click.UsageError("Give either SQL, or --job without --max-rows.")
    body: dict[str, str | int] = {"format": file_format, "compression": compression}
    if sql is not None:
        body["sql"] = sys.stdin.read() if sql == "-" else sql
    if max_rows is not None:
        body["max_rows"] = max_rows
    run_export(
        body,
        job_id=str(job_id) if job_id else None,
        output=output,
        as_json=as_json,
        api_url=api_url,
    )


@click.group()
def jobs() -> None:
    """Long queries: start, read, cancel."""


@jobs.command("start")
@click.argument("sql")
@click.option("--max-rows", type=POSITIVE, help="Rows to keep at most.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for its end.")
@as_json_option
@api_url_option
def jobs_start(
    *, sql: str, max_rows: int | None, wait: bool, as_json: bool, api_url: str | None
) -> None:
    """Run one SELECT in the background.

    With `-` in its place, the SQL is read from standard input.
    """
    from lake_api.cli.jobs import run_start

    text = sys.stdin.read() if sql == "-" else sql
    run_start(text, max_rows=max_rows, wait=wait, as_json=as_json, api_url=api_url)


@jobs.command("list")
@as_json_option
@api_url_option
def jobs_list(*, as_json: bool, api_url: str | None) -> None:
    """List your jobs, newest first."""
    from lake_api.cli.jobs import run_list

    run_list(as_json=as_json, api_url=api_url)


@jobs.command("show")
@click.argument("job_id", type=click.UUID)
@as_json_option
@api_url_option
def jobs_show(*, job_id: UUID, as_json: bool, api_url: str | None) -> None:
    """Show how a job stands."""
    from lake_api.cli.jobs import run_show

    run_show(str(job_id), as_json=as_json, api_url=api_url)


@jobs.command("rows")
@click.argument("job_id", type=click.UUID)
@click.option("--page", type=POSITIVE, default=1, show_default=True, help="Which page.")
@click.option("--page-size", type=POSITIVE, default=100, show_default=True, help="At most 200.")
@as_json_option
@as_csv_option
@api_url_option
def jobs_rows(
    *,
    job_id: UUID,
    page: int,
    page_size: int,
    as_json: bool,
    as_csv: bool,
    api_url: str | None,
) -> None:
    """Show a page of a job's rows."""
    from lake_api.cli.jobs import run_rows

    style = chosen_style(as_json=as_json, as_csv=as_csv)
    run_rows(str(job_id), page=page, page_size=page_size, style=style, api_url=api_url)


@jobs.command("cancel")
@click.argument("job_id", type=click.UUID)
@as_json_option
@api_url_option
def jobs_cancel(*, job_id: UUID, as_json: bool, api_url: str | None) -> None:
    """Stop a job."""
    from lake_api.cli.jobs import run_cancel

    run_cancel(str(job_id), as_json=as_json, api_url=api_url)


COMMANDS: tuple[click.Command, ...] = (query, datasets, describe, sample, export, jobs)
