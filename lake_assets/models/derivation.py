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
without any, it is empty. In SQL each is a table by its SQL name, `$day` is the day and `$version`
the version. Rows have the declared columns; `generated_at` is filled in where it is left out.

A declaration names its derivation: `compute="lake_assets.models.scores:DERIVATION"`. Dagster loads
the module to learn the windows, so a library that takes long to import is imported in `derive`.
"""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

import pyarrow as pa

from lake_assets.catalog import CatalogError, Dataset, LakeSource

Inputs = Mapping[str, pa.Table]
Rows = pa.Table | Iterable[Mapping[str, object]]


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

    A rewritten input day concerns every derived day whose window has it. Where computing a day
    is dear, `refresh_d` bounds how many days after it are computed again by themselves.

    Raises:
        CatalogError: it has both or neither of `derive` and `sql`, or a window without a day.
    """

    version: str
    windows: Mapping[str, Window]
    derive: Derive | None = None
    sql: str = ""
    refresh_d: int | None = None

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
