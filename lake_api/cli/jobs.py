"""`lake jobs start|list|show|rows|cancel`.

Belongs here: asking for jobs, waiting for them, showing them and their rows.
Does not belong here: files of rows (`export`).
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import click
from rich.table import Table

from lake_api.cli import tables
from lake_api.cli.client import LakeClient, connect
from lake_api.cli.failure import CommandFailed
from lake_api.cli.patience import NoAnswer, Patience
from lake_api.cli.problem import ProblemAnswer, refusals
from lake_api.cli.progress import Line, live_line
from lake_api.cli.query import Style, print_warnings
from lake_api.cli.signals import interrupting
from lake_api.cli.text import visible
from lake_api.doors import Door, in_words_of
from lake_api.errors import Problem
from lake_api.exports.schemas import ExportInfo
from lake_api.jobs.schemas import JobInfo, JobList, JobPage

_LIVE = frozenset({"queued", "running"})
_FIRST_POLL_S = 0.25
_MAX_POLL_S = 5.0
_MAX_TURN_S = 60.0
"""How long a limit of requests is waited for; what is limited by the hour is told instead."""

_Followed = TypeVar("_Followed", JobInfo, ExportInfo)


def run_start(
    sql: str, *, max_rows: int | None, wait: bool, as_json: bool, api_url: str | None
) -> None:
    """Ask for a job, and wait for its end if asked to.

    Raises:
        CommandFailed: the service refused, or the job failed.
    """
    body = {"sql": sql} if max_rows is None else {"sql": sql, "max_rows": max_rows}
    with connect(api_url) as client, refusals(as_json=as_json, sql=sql):
        job, told = client.ask("POST", "/jobs", JobInfo, body=body)
        if wait:
            with waiting(f"job {job.id}") as line:
                job, told = until_over(lambda: _job(client, str(job.id)), line)
    if as_json:
        click.echo(told)
    if wait:
        refuse_failure(f"job {job.id}", job.state, job.error)
    if not as_json:
        click.echo(_sentence(job))


def run_list(*, as_json: bool, api_url: str | None) -> None:
    """Print the caller's jobs, newest first.

    Raises:
        CommandFailed: the service refused.
    """
    with connect(api_url) as client, refusals(as_json=as_json):
        found, body = client.ask("GET", "/jobs", JobList, params={"page_size": 100})
    if as_json:
        click.echo(body)
        return
    if not found.jobs:
        click.echo("There is no job; `lake jobs start SQL` makes one.")
        return
    table = Table("id", "state", "asked at", "rows", "sql", box=None)
    for one in found.jobs:
        rows = "" if one.row_count is None else f"{one.row_count:,}"
        asked_at = f"{one.created_at:%Y-%m-%d %H:%M} UTC"
        table.add_row(str(one.id), one.state, asked_at, rows, visible(one.sql)[:80])
    tables.stdout().print(table)
    if found.total > len(found.jobs):
        click.echo(f"{found.total - len(found.jobs)} older ones are not shown.", err=True)


def run_show(job_id: str, *, as_json: bool, api_url: str | None) -> None:
    """Print how a job stands.

    Raises:
        CommandFailed: the service refused.
    """
    with connect(api_url) as client, refusals(as_json=as_json):
        job, body = _job(client, job_id)
    if as_json:
        click.echo(body)
        return
    click.echo(_sentence(job))
    if job.error is not None:
        click.echo(f"  {visible(job.error.detail)} [{job.error.code}]")


def run_rows(job_id: str, *, page: int, page_size: int, style: Style, api_url: str | None) -> None:
    """Print a page of a job's rows.

    Raises:
        CommandFailed: the service refused, or the job has no rows yet.
    """
    with connect(api_url) as client, refusals(as_json=style == "json"):
        told, body = client.ask(
            "GET",
            f"/jobs/{job_id}/results",
            JobPage,
            params={"page": page, "page_size": page_size},
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
    console.print(f"page {told.page} of {told.pages}, {told.row_count:,} rows", style="dim")
    print_warnings(told.warnings, console)


def run_cancel(job_id: str, *, as_json: bool, api_url: str | None) -> None:
    """Stop a job.

    Raises:
        CommandFailed: the service refused.
    """
    with connect(api_url) as client, refusals(as_json=as_json):
        job, body = client.ask("POST", f"/jobs/{job_id}/cancel", JobInfo)
    click.echo(body if as_json else _sentence(job))


@contextmanager
def waiting(what: str) -> Generator[Line]:
    """A live line; Ctrl-C ends the waiting, not what is waited for.

    Raises:
        CommandFailed: somebody did not want to wait any longer.
    """
    with live_line(tables.stderr()) as line, interrupting():
        try:
            yield line
        except KeyboardInterrupt as error:
            raise CommandFailed(
                f"no longer waiting; {what} goes on", hint="`lake jobs list` shows jobs."
            ) from error


def until_over(look: Callable[[], tuple[_Followed, bytes]], line: Line) -> tuple[_Followed, bytes]:
    """Look until it is over, and tell each state.

    Looks are requests of a token: they become rarer, and a look that is one too many waits for the
    next turn, because what is followed goes on all the same.

    Raises:
        CommandFailed: the service refused to tell, or has not answered for minutes.
    """
    pause_s = _FIRST_POLL_S
    patience = Patience()
    while True:
        try:
            found = look()
        except ProblemAnswer as refused:
            turn_s = refused.problem.retry_after_s
            is_too_often = refused.problem.code == "rate_limited"
            if not is_too_often or turn_s is None or turn_s > _MAX_TURN_S:
                patience.wait_after(refused)
            else:
                line(f"asking again in {turn_s} s", done=0, total=0)
                time.sleep(turn_s)
            continue
        except NoAnswer as silent:
            patience.wait_after(silent)
            continue
        patience.heard()
        now, progress = found[0].state, found[0].progress
        line(f"{now}: {progress.stage}, {progress.rows:,} rows", done=0, total=0)
        if now not in _LIVE:
            return found
        time.sleep(pause_s)
        pause_s = min(_MAX_POLL_S, 1.5 * pause_s)


def refuse_failure(what: str, state: str, error: Problem | None) -> None:
    """Do nothing for what succeeded.

    Raises:
        CommandFailed: it failed, or was cancelled.
    """
    if error is not None:
        raise CommandFailed(
            f"{what} failed: {visible(error.detail)} [{error.code}]",
            hint=visible(
                in_words_of(Door.COMMAND, error.hint or "")
                or ("Try again." if error.retry else "Ask for less.")
            ),
        )
    if state == "cancelled":
        raise CommandFailed(f"{what} was cancelled", hint="Start it again if it was not meant.")


def _job(client: LakeClient, job_id: str) -> tuple[JobInfo, bytes]:
    return client.ask("GET", f"/jobs/{job_id}", JobInfo)


def _sentence(job: JobInfo) -> str:
    if job.row_count is None:
        return f"{job.id} is {job.state}"
    more = ", and there were more" if job.truncated else ""
    return f"{job.id} {job.state} with {job.row_count:,} rows{more}; `lake jobs rows` shows them"
