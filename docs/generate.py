"""Fills the generated parts of the documentation: `make docs`.

Belongs here: tables that follow from the catalogue and the settings, and where they go.
Does not belong here: prose. A test fails when a page differs from what this writes.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from lake_api.query.value_types import NESTED, SCALARS, Door, EngineType, Fit
from lake_api.settings import SETTINGS
from lake_assets.catalog import Dataset, load_catalog
from lake_assets.catalog.settings import LAKE_SETTINGS, Setting
from lake_assets.sources.config import HTTP, PLATFORM, UPSTREAMS, SourceSetting, Upstream
from lake_assets.sources.postgres_types import policy_rows

ROOT = Path(__file__).parents[1]
_SHOWN_CHARS = 60


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def settings_table() -> str:
    """Every setting of the query service."""
    return _settings(SETTINGS)


def shared_settings_table() -> str:
    """Every setting that other programs of the lake read, without those of sources."""
    sources = {setting.name for upstream in (HTTP, PLATFORM) for setting in upstream.settings}
    return _settings(setting for setting in LAKE_SETTINGS if setting.name not in sources)


def _settings(settings: Iterable[Setting]) -> str:
    rows = [
        (f"`{setting.name}`", f"`{setting.default}`" if setting.default else "", setting.sentence)
        for setting in settings
    ]
    return table(("setting", "default", "what it does"), rows)


def sources_table() -> str:
    """Every setting of every outside source, in the order of `UPSTREAMS`."""
    rows: list[tuple[str, ...]] = []
    for upstream in (*UPSTREAMS, HTTP, PLATFORM):
        name = "" if upstream in {HTTP, PLATFORM} else f"`{upstream.name}`"
        rows.append((f"**{upstream.title}**", "", "", name))
        rows.extend(_source_row(upstream, setting) for setting in upstream.settings)
    return table(("setting", "", "default", "what it is for"), rows)


def _source_row(upstream: Upstream, setting: SourceSetting) -> tuple[str, ...]:
    needed = "required" if setting.required else ""
    if setting.name in upstream.one_of:
        needed = "one of them"
    marks = [mark for mark in (needed, "secret" if setting.secret else "") if mark]
    default = f"`{_shortened(setting.default)}`" if setting.default else ""
    return f"`{setting.name}`", ", ".join(marks), default, setting.sentence


def _shortened(text: str) -> str:
    """Long lists up to their first entries: the code has the rest."""
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS].rpartition(',')[0]},…"


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


def postgres_table() -> str:
    """What becomes of each Postgres type."""
    header = ("declared as", "type in Postgres", "its values come as", "values that do not fit")
    return table(header, list(policy_rows()))


_DOORS = (Door.ARROW, Door.PARQUET, Door.AVRO)


def types_table() -> str:
    """Every type of the engine at every door."""
    rows = [
        (f"`{one.name}`", one.json, *(_fit(one, door) for door in _DOORS))
        for one in SCALARS.values()
    ]
    rows += [
        (f"`{one.name}`", one.json, "the same", one.parquet, one.avro) for one in NESTED.values()
    ]
    return table(("type", "JSON, CSV, pages", "Arrow", "Parquet", "Avro"), rows)


def _fit(one: EngineType, door: Door) -> str:
    match one.fit(door):
        case Fit.TEXT:
            return "text"
        case Fit.CHECKED:
            return f"exact; text where a value is {one.beyond}"
        case _:
            return "exact"


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "settings": settings_table,
        "shared-settings": shared_settings_table,
        "sources": sources_table,
        "datasets": datasets_table,
    },
    "docs/postgres.md": {"types": postgres_table},
    "docs/types.md": {"types": types_table},
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
