"""What a derivation is: which days it reads, and how rows of a day follow from them.

Belongs here: the description of a derivation, finding the one of a dataset.
Does not belong here: any single formula or model, reading inputs, running SQL, Dagster.

A derivation is one function from tables to rows, or one SQL text, and one `Derivation` that says
which days it wants to see:

    def derive(inputs: Mapping[str, pa.Table], *, day: date) -> pa.Table: ...

    DERIVATION = Derivation(
        version="1",
        windows={"agent_run_log": Window(days=28, columns=("agent_id", "status"))},
        derive=derive,
    )

`inputs` has one table per upstream, by partition name: the columns of its window and `date`, the
partition's day. It holds days of the window only, none after `day` and no day that the lake lacks;
without any, it is empty. A day that the lake has without rows is not in a table: `days_of` tells it
from a day that is missing. Settings that a derivation names are read with `setting_of`. In SQL each
is a table by its SQL name, `$day` is the day and `$version` the version. Rows have the declared
columns; `generated_at` is filled in where it is left out.

A declaration names its derivation: `compute="lake_assets.models.scores:DERIVATION"`. Dagster loads
the module to learn the windows, so a library that takes long to import is imported in `derive`.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

import pyarrow as pa

from lake_assets.catalog import CatalogError, Dataset, LakeSource
from lake_assets.catalog.settings import read_lake_setting

Inputs = Mapping[str, pa.Table]
Rows = pa.Table | Iterable[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInputs(Mapping[str, pa.Table]):
    """The tables of a day's inputs, the days of them that the lake has, and the settings.

    `days` has the days with a partition, whether or not it has rows.
    """

    tables: Mapping[str, pa.Table]
    days: Mapping[str, frozenset[date]]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __getitem__(self, upstream: str) -> pa.Table:
        return self.tables[upstream]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


def days_of(inputs: Inputs, upstream: str) -> frozenset[date] | None:
    """The days of an upstream that the lake has; None where only those with rows are known."""
    return inputs.days[upstream] if isinstance(inputs, StoredInputs) else None


def setting_of(inputs: Inputs, name: str) -> Any:
    """The value of a setting that the derivation names; its default where none was handed over."""
    if isinstance(inputs, StoredInputs) and name in inputs.settings:
        return inputs.settings[name]
    return read_lake_setting(name, {})


class Derive(Protocol):
    """From the inputs of a day to its rows."""

    def __call__(self, inputs: Inputs, /, *, day: date) -> Rows:
        """The rows of `day`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The days of an upstream that a derived day is computed from.

    They are `days` in number, and the last one lies `lag_d` days before the derived day. Only
    `columns` are read.
    """

    days: int
    columns: tuple[str, ...]
    lag_d: int = 0

    def last(self, day: date) -> date:
        """The newest day that goes into `day`."""
        return day - timedelta(days=self.lag_d)

    def of(self, day: date) -> tuple[date, ...]:
        """The days that go into `day`, oldest first."""
        last = self.last(day)
        return tuple(last - timedelta(days=back) for back in range(self.days - 1, -1, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a derived dataset is computed: by `derive` or by `sql`, over `windows` by upstream.

    `settings` are those of the table of settings that `derive` reads. A rewritten input day
    concerns every derived day whose window has it. Where computing a day is dear, `refresh_d`
    bounds how many days after it are computed again by themselves.

    Raises:
        CatalogError: it has both or neither of `derive` and `sql`, or a window without a day.
    """

    version: str
    windows: Mapping[str, Window]
    derive: Derive | None = None
    sql: str = ""
    refresh_d: int | None = None
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.derive is None) == (not self.sql):
            raise CatalogError("a derivation has either `derive` or `sql`")
        if any(window.days < 1 or window.lag_d < 0 for window in self.windows.values()):
            raise CatalogError("a window has at least one day, and none after the derived day")


def derivation_of(dataset: Dataset) -> Derivation:
    """The derivation that a dataset's declaration names.

    Raises:
        CatalogError: it names none, or its windows are not those of the declared upstreams.
    """
    source = dataset.source
    compute = source.compute if isinstance(source, LakeSource) else ""
    module, _, name = compute.partition(":")
    found = getattr(importlib.import_module(module), name, None) if module else None
    if not isinstance(found, Derivation):
        raise CatalogError(f"{dataset.partition}: `compute` names no derivation")
    if set(found.windows) != set(dataset.upstreams):
        raise CatalogError(
            f"{dataset.partition}: its derivation reads {', '.join(sorted(found.windows))}, and "
            f"it is declared to read {', '.join(sorted(dataset.upstreams))}"
        )
    return found
