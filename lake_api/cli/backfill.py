"""`lake backfill --missing`: days that schedules should have written, and that are not there.

Belongs here: which days those are, by what the bucket has, and one backfill per dataset.
Does not belong here: ranges that somebody names (`trigger`), when days are due (`catalog.due`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
import msgspec

from lake_api.cli import tables
from lake_api.cli.client import LakeClient, connect_to
from lake_api.cli.dagster_http import DagsterHttp
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import Line, live_line
from lake_api.cli.running import require_running
from lake_api.cli.signals import interrupting
from lake_api.cli.stored import stored_days
from lake_api.cli.text import visible
from lake_api.cli.trigger import days_written, wait_for_end
from lake_api.nearest import did_you_mean
from lake_api.tasks.dagster import TASK_TAG
from lake_assets.catalog import Catalog, Dataset, ExternalSource, load_catalog
from lake_assets.catalog.due import due_days
from lake_assets.sources.config import upstream_of

DEFAULT_DAYS = 30
_LOGS = "`lake logs dagster-webserver` says what Dagster does."
_UNDER_WAY = "MATERIALIZING"

DAYS_BY_STATUS = """
query DaysByStatus($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    assetPartitionStatuses {
      __typename
      ... on TimePartitionStatuses { ranges { status startKey endKey } }
    }
  }
}
"""


class Backfill(msgspec.Struct, frozen=True):
    """The missing days of one dataset, and what was launched for them; empty when only looked."""

    dataset: str
    task: str
    days: tuple[date, ...]
    task_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which datasets and days are looked at."""

    datasets: Collection[str]
    groups: Collection[str]
    first: date | None
    last: date | None


def run_backfill(wanted: Wanted, *, dry_run: bool, wait: bool, as_json: bool) -> None:
    """Find what is missing, launch it, and wait for the end if asked to.

    Raises:
        CommandFailed: nothing runs, a name is unknown, the bucket does not answer, Dagster refused,
            or a backfill failed.
    """
    state = require_running()
    catalog, now = load_catalog(), datetime.now(tz=UTC)
    last = wanted.last or now.date()
    first = wanted.first or last - timedelta(days=DEFAULT_DAYS)
    chosen = [(dataset, _why_not(dataset, state.settings)) for dataset in _chosen(catalog, wanted)]
    datasets = [dataset for dataset, reason in chosen if not reason]
    _print_left_out(chosen)
    with DagsterHttp(state.dagster_url, hint=_LOGS) as dagster, live_line(tables.stderr()) as line:
        there = stored_days(state.settings, datasets)
        under_way = _days_under_way(dagster, datasets)
        there = {name: days | under_way.get(name, frozenset()) for name, days in there.items()}
        missing = list(_missing(datasets, there, first=first, last=last, now=now))
        if not dry_run:
            missing = list(_launched(dagster, catalog, missing, line))
    if as_json:
        click.echo(msgspec.json.encode(missing))
    else:
        _print(missing)
    if wait and not dry_run and missing:
        with connect_to(state) as client:
            _wait(client, missing)


def _why_not(dataset: Dataset, settings: Mapping[str, str]) -> str:
    """Why the outside source of a dataset can't be asked; empty where it can, or there is none."""
    if not isinstance(dataset.source, ExternalSource):
        return ""
    upstream = upstream_of(dataset.source.upstream)
    return upstream.why_not(settings) if upstream else ""


def _print_left_out(chosen: Sequence[tuple[Dataset, str]]) -> None:
    """Say on stderr which datasets have no configured source: a run of them would write nothing."""
    by_reason: dict[str, list[str]] = {}
    for dataset, reason in chosen:
        if reason:
            by_reason.setdefault(reason, []).append(dataset.partition)
    for reason, names in by_reason.items():
        click.echo(f"unconfigured, left out: {', '.join(names)} ({reason})", err=True)


def _chosen(catalog: Catalog, wanted: Wanted) -> Iterator[Dataset]:
    by_any_name = {dataset.partition: dataset for dataset in catalog} | dict(catalog.by_sql_name)
    for name in wanted.datasets:
        if name not in by_any_name:
            raise _unknown("dataset", name, by_any_name)
    groups = {group.lower().replace(" ", "_"): group for group in catalog.groups}
    for name in wanted.groups:
        if name.lower().replace(" ", "_") not in groups:
            raise _unknown("group", name, groups)
    names = {by_any_name[name].partition for name in wanted.datasets}
    in_groups = {groups[name.lower().replace(" ", "_")] for name in wanted.groups}
    for dataset in catalog:
        is_named = dataset.partition in names or dataset.group in in_groups
        if is_named or not (names or in_groups):
            yield dataset


def _unknown(what: str, name: str, known: Iterable[str]) -> CommandFailed:
    return CommandFailed(
        f"there is no {what} `{visible(name)}`",
        hint=did_you_mean(name, known, otherwise="`lake datasets` lists them."),
    )


def _days_under_way(
    dagster: DagsterHttp, datasets: Sequence[Dataset]
) -> Mapping[str, frozenset[date]]:
    """The days that a run is writing, by dataset."""
    keys = [{"path": list(dataset.asset_key)} for dataset in datasets]
    nodes: list[dict[str, Any]] = dagster.ask(DAYS_BY_STATUS, {"keys": keys})["assetNodes"]
    return {
        "/".join(node["assetKey"]["path"]): frozenset(
            day
            for found in node["assetPartitionStatuses"].get("ranges", ())
            if found["status"] == _UNDER_WAY
            for day in _days(found["startKey"], found["endKey"])
        )
        for node in nodes
    }


def _days(first: str, last: str) -> Iterator[date]:
    day = date.fromisoformat(first)
    while day <= date.fromisoformat(last):
        yield day
        day += timedelta(days=1)


def _missing(
    datasets: Sequence[Dataset],
    there: Mapping[str, frozenset[date]],
    *,
    first: date,
    last: date,
    now: datetime,
) -> Iterator[Backfill]:
    missing: dict[str, tuple[date, ...]] = {}
    for dataset in datasets:
        due = due_days(dataset, first=first, last=last, now=now)
        days = tuple(day for day in due if day not in there.get(dataset.partition, ()))
        if days:
            missing[dataset.partition] = days
    for dataset in datasets:
        # What is derived from days that are about to be written follows them by itself.
        if dataset.partition in missing and not missing.keys() & set(dataset.upstreams):
            yield Backfill(
                dataset=dataset.partition,
                task=dataset.tasks[-1],
                days=missing[dataset.partition],
            )


def _launched(
    dagster: DagsterHttp, catalog: Catalog, missing: Sequence[Backfill], line: Line
) -> Iterator[Backfill]:
    for done, one in enumerate(missing):
        line("backfills launched", done=done, total=len(missing))
        task_id = dagster.launch_backfill(
            catalog[one.dataset].asset_key,
            [day.isoformat() for day in one.days],
            {TASK_TAG: one.task},
        )
        yield msgspec.structs.replace(one, task_id=task_id)


def _print(missing: Sequence[Backfill]) -> None:
    if not missing:
        click.echo("Nothing that is due is missing.")
        return
    tables.print_rows(
        tables.stdout(),
        ("dataset", "days", "first", "last", "backfill"),
        [
            (one.dataset, len(one.days), str(one.days[0]), str(one.days[-1]), one.task_id or "-")
            for one in missing
        ],
        column_types=("", "BIGINT", "", "", ""),
    )


def _wait(client: LakeClient, launched: Sequence[Backfill]) -> None:
    failed: list[str] = []
    wrote: list[str] = []
    with live_line(tables.stderr()) as line, interrupting():
        for done, one in enumerate(launched):
            line(f"writing {one.dataset}", done=done, total=len(launched))
            ended = wait_for_end(client, one.task_id, follow=lambda _: None)
            if ended.status != "succeeded":
                failed.append(f"{one.dataset}: {visible(ended.error or ended.status)}")
            else:
                wrote.append(f"{one.dataset}: {days_written(ended)}")
    if wrote:
        click.echo("\n".join(wrote), err=True)
    if failed:
        raise CommandFailed(
            f"{len(failed)} of {len(launched)} datasets could not be written: {failed[0]}",
            hint=f"All of them: {client.dagster_url}/runs",
        )
