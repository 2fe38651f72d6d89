"""`lake datasets`.

Belongs here: the catalogue as a list.
Does not belong here: columns (the tool definition and the README have them).
"""

import json

import click

from lake_api.cli import tables
from lake_assets.catalog import Dataset, load_catalog


def run_datasets(*, as_json: bool) -> None:
    """Print every dataset, by group."""
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
