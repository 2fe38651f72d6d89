"""Deterministic, realistic rows for every table that the lake exports from Postgres.

Belongs here: the public names. Importing this package is light: what needs numpy, pyarrow or a
database driver is imported when one of the functions is first asked for.
Does not belong here: outside sources and derived datasets.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lake_assets.sample_data.planted import PLANTED, Metric, PlantedEvent
from lake_assets.sample_data.spec import (
    SampleDataBroken,
    SampleDataRefused,
    SampleReport,
    SampleSpec,
    TableReport,
)

if TYPE_CHECKING:
    from lake_assets.sample_data.load import create_tables, late_rows, load_sample_data

_HEAVY = frozenset({"create_tables", "late_rows", "load_sample_data"})

__all__ = [
    "PLANTED",
    "Metric",
    "PlantedEvent",
    "SampleDataBroken",
    "SampleDataRefused",
    "SampleReport",
    "SampleSpec",
    "TableReport",
    "create_tables",
    "late_rows",
    "load_sample_data",
]


def __getattr__(name: str) -> object:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("lake_assets.sample_data.load"), name)
