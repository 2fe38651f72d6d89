"""`lake datasets`.

Belongs here: the list of datasets, as the service tells it or as they are declared.
Does not belong here: everything about one (`describe`).
"""

import json

import click

from lake_api.cli import tables
from lake_api.cli.client import connect
from lake_api.cli.problem import refusals
from lake_api.cli.query import print_warnings
from lake_api.cli.text import visible
from lake_api.datasets.schemas import DatasetLine, DatasetList
from lake_assets.catalog import Dataset, load_catalog

_MOST = 500


def run_datasets(*, text: str | None, as_json: bool, api_url: str | None) -> None:
    """Print the datasets that the service tells of, with what is stored of them.

    Raises:
        CommandFailed: the service refused.
    """
    with connect(api_url) as client, refusals(as_json=as_json):
        found, body = client.ask(
            "GET", "/datasets", DatasetList, params={"q": text, "page_size": _MOST}
        )
    if as_json:
        click.echo(body)
        return
    if not found.datasets:
        click.echo("There is no such dataset.")
        return
    tables.print_rows(
        tables.stdout(),
        ("table in SQL", "kind", "newest day", "days", "what"),
        [_row(one) for one in found.datasets],
        column_types=("", "", "", "BIGINT"),
    )
    print_warnings(found.warnings, tables.stderr())


def run_declared(*, as_json: bool) -> None:
    """Print what is declared in this installation, by group, with tasks; no service is asked."""
    groups = load_catalog().groups
    if as_json:
        facts = [_facts(dataset) for members in groups.values() for dataset in members]
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    rows = [
        (group if dataset is members[0] else "", dataset.sql_name, dataset.kind.value,
         dataset.daily_task, dataset.summary)
        for group, members in groups.items()
        for dataset in members
    ]  # fmt: skip
    tables.print_rows(tables.stdout(), ("group", "table in SQL", "kind", "task", "what"), rows)


def _row(one: DatasetLine) -> tuple[str | int, ...]:
    if one.listing == "unknown":
        return one.sql_name, one.kind, "unknown", "", visible(one.summary)
    newest = f"{one.newest_day or '-'}{' (stale)' if one.stale else ''}"
    return one.sql_name, one.kind, newest, one.days, visible(one.summary)


def _facts(dataset: Dataset) -> dict[str, object]:
    return {
        "partition": dataset.partition,
        "sql_name": dataset.sql_name,
        "group": dataset.group,
        "kind": dataset.kind.value,
        "source": str(dataset.source),
        "tasks": dataset.tasks,
        "summary": dataset.summary,
    }
