"""Fills the generated parts of the documentation: `make docs`.

Belongs here: tables that follow from the catalogue and the settings, and where they go.
Does not belong here: prose. A test fails when a page differs from what this writes.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from lake_api.settings import SETTINGS
from lake_assets.catalog import Dataset, load_catalog

ROOT = Path(__file__).parents[1]


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def settings_table() -> str:
    """Every setting of the query service."""
    rows = [
        (f"`{setting.name}`", f"`{setting.default}`" if setting.default else "", setting.sentence)
        for setting in SETTINGS
    ]
    return table(("setting", "default", "what it does"), rows)


def datasets_table() -> str:
    """Every dataset, in the order of the catalogue's groups."""
    rows: list[tuple[str, ...]] = []
    for group, datasets in load_catalog().groups.items():
        rows.append((f"**{group}**", "", "", "", ""))
        rows.extend(_dataset_row(dataset) for dataset in datasets)
    return table(("partition", "table in SQL", "kind", "task", "what it holds"), rows)


def _dataset_row(dataset: Dataset) -> tuple[str, ...]:
    tasks = " ".join(f"`{task}`" for task in dataset.tasks)
    return (
        f"`{dataset.partition}`",
        f"`{dataset.sql_name}`",
        dataset.kind.value,
        tasks,
        dataset.summary,
    )


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"settings": settings_table, "datasets": datasets_table},
}


def rendered(page: str) -> str:
    """A page with its generated parts as they should be."""
    text = (ROOT / page).read_text()
    for name, render in PARTS[page].items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        made = render().replace("\\", r"\\")  # backslashes are kept as they are
        text, found = pattern.subn(rf"\g<1>{made}\n\g<2>", text)
        if found != 1:
            raise SystemExit(f"{page}: wants one part <!-- {name} --> … <!-- /{name} -->")
    return text


def main() -> None:
    """Write every page."""
    for page in PARTS:
        (ROOT / page).write_text(rendered(page))
        sys.stdout.write(f"{page} written\n")


if __name__ == "__main__":
    main()
