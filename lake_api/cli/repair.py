"""`lake repair`: stored days whose statistics readers misread are written again.

Belongs here: launching the job, following it, and what it found.
Does not belong here: finding and replacing objects (`lake_assets.storage.repair`): the service has
no key that could.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec

from lake_api.cli import tables
from lake_api.cli.dagster_http import DagsterHttp
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.running import require_running
from lake_api.cli.signals import interrupting
from lake_api.cli.text import visible
from lake_api.nearest import did_you_mean
from lake_api.tasks.dagster import CODE_LOCATION, REPOSITORY, TASK_TAG
from lake_assets.catalog import load_catalog

TASK = "lake.repair"
_JOB = "repair"
_OP = "repair_days"
_POLL_S = 0.25
_EVENTS = 1_000
_LOGS = "`lake logs dagster-webserver` says what Dagster does."
_ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})

EVENTS = """
query RepairEvents($runId: ID!, $after: String, $limit: Int!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      status
      eventConnection(afterCursor: $after, limit: $limit) {
        cursor hasMore
        events {
          __typename
          ... on LogMessageEvent { message }
          ... on ObservationEvent {
            assetKey { path }
            description
            metadataEntries { label ... on IntMetadataEntry { intValue } }
          }
          ... on ExecutionStepFailureEvent { error { message causes { message } } }
          ... on RunFailureEvent { message }
        }
      }
    }
  }
}
"""


class Repaired(msgspec.Struct, frozen=True):
    """What was found in one dataset; counts are days."""

    dataset: str
    looked_at: int
    misread: int
    rewritten: int
    changed: int
    foreign: int
    unreadable: int


class RepairReport(msgspec.Struct, frozen=True):
    """What a run found; only datasets in which it found something."""

    task_id: str
    dry_run: bool
    datasets: tuple[Repaired, ...]


def run_repair(names: Sequence[str], *, dry_run: bool, wait: bool, as_json: bool) -> None:
    """Launch the job, and wait for its end if asked to.

    Raises:
        CommandFailed: nothing runs, a name is unknown, Dagster refused, or the job failed.
    """
    state = require_running()
    partitions = _partitions(names)
    with DagsterHttp(state.dagster_url, hint=_LOGS) as dagster:
        run_id = _launched(dagster, partitions, dry_run=dry_run)
        if not wait:
            report = RepairReport(task_id=run_id, dry_run=dry_run, datasets=())
            said = msgspec.json.encode(report) if as_json else f"{TASK} is queued as {run_id}"
            click.echo(said)
            return
        try:
            with interrupting():
                found = tuple(_followed(dagster, run_id, log_url=f"{state.dagster_url}/runs"))
        except KeyboardInterrupt as error:
            raise CommandFailed(
                f"no longer waiting; {TASK} goes on as {run_id}",
                hint="The Dagster UI shows it, and can end it. What was repaired stays repaired.",
            ) from error
    report = RepairReport(task_id=run_id, dry_run=dry_run, datasets=found)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _print(report)
    unreadable = sum(one.unreadable for one in found)
    if unreadable:
        raise CommandFailed(
            f"{unreadable} days can't be read, and were left as they are",
            hint=f"{state.dagster_url}/runs/{run_id} names them; write them again.",
        )


def _partitions(names: Sequence[str]) -> list[str]:
    catalog = load_catalog()
    known = {dataset.partition: dataset for dataset in catalog} | dict(catalog.by_sql_name)
    for name in names:
        if name not in known:
            raise CommandFailed(
                f"there is no dataset `{visible(name)}`",
                hint=did_you_mean(name, known, otherwise="`lake datasets` lists them."),
            )
    return list(dict.fromkeys(known[name].partition for name in names))


def _launched(dagster: DagsterHttp, partitions: Sequence[str], *, dry_run: bool) -> str:
    selector = {
        "repositoryName": REPOSITORY,
        "repositoryLocationName": CODE_LOCATION,
        "jobName": _JOB,
    }
    config = {"ops": {_OP: {"config": {"datasets": list(partitions), "dry_run": dry_run}}}}
    return dagster.launch_run(selector, {TASK_TAG: TASK}, config=config)


def _followed(dagster: DagsterHttp, run_id: str, *, log_url: str) -> Iterator[Repaired]:
    """What the run says it found, while it runs; its last log line is how far it is."""
    after, error = None, ""
    with live_line(tables.stderr()) as line:
        line(f"{TASK} is queued", done=0, total=0)
        while True:
            variables = {"runId": run_id, "after": after, "limit": _EVENTS}
            run: dict[str, Any] = dagster.ask(EVENTS, variables)["runOrError"]
            page: dict[str, Any] = run.get("eventConnection") or {}
            after = page.get("cursor", after)
            for event in page.get("events", ()):
                match event["__typename"]:
                    case "LogMessageEvent":
                        line(visible(event["message"]), done=0, total=0)
                    case "ObservationEvent":
                        yield _repaired(event)
                    case "ExecutionStepFailureEvent" | "RunFailureEvent":
                        error = error or _message(event)
                    case _:
                        pass
            if not page.get("hasMore"):
                if run.get("status") in _ENDED or run["__typename"] != "Run":
                    break
                time.sleep(_POLL_S)
    if run.get("status") != "SUCCESS":
        raise CommandFailed(
            f"{TASK} {'was canceled' if run.get('status') == 'CANCELED' else 'failed'}"
            f"{f': {error}' if error else ''}",
            hint=f"Its log is at {log_url}/{run_id}. Run it again: what was repaired stays so.",
        )


def _repaired(event: Mapping[str, Any]) -> Repaired:
    counts = {entry["label"]: entry.get("intValue") for entry in event["metadataEntries"]}
    return msgspec.convert(
        {"dataset": "/".join(event["assetKey"]["path"]), **counts}, Repaired, strict=False
    )


def _message(event: Mapping[str, Any]) -> str:
    error: dict[str, Any] = event.get("error") or {}
    causes: list[dict[str, Any]] = error.get("causes") or []
    message = causes[0]["message"] if causes else error.get("message") or event.get("message") or ""
    return visible(message.strip().partition("\n")[0])


def _print(report: RepairReport) -> None:
    if not report.datasets:
        click.echo("Nothing needs repair.")
        return
    columns = ("dataset", "looked_at", "misread", "rewritten", "changed", "foreign", "unreadable")
    tables.print_rows(
        tables.stdout(),
        columns,
        [tuple(getattr(one, name) for name in columns) for one in report.datasets],
        column_types=("", *("BIGINT",) * (len(columns) - 1)),
    )
