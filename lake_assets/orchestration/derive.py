"""Derived datasets as assets: which days of their inputs they read, and what a run does with them.

Belongs here: inputs and their partition mappings, running a derivation day by day, telling people
which inputs were missing.
Does not belong here: formulas and models (`lake_assets.models`), when it runs (`automation`),
reading and writing objects (`lake_assets.storage`).

A day that has some of its inputs is computed from those; its metadata says which days were missing.
A day that has none is an observation that says so: nothing is written, and the day stays missing.
Input days that failed a check that blocks count as missing; where it is the newest day of a window,
the day is left out.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
from dagster_duckdb import DuckDBResource

from lake_assets.catalog import Dataset
from lake_assets.catalog.settings import SettingsError, read_lake_setting
from lake_assets.models.derivation import Derivation, Rows, StoredInputs, derivation_of
from lake_assets.models.in_sql import run_sql
from lake_assets.orchestration.checks import check_results
from lake_assets.orchestration.io_manager import COLUMNS_METADATA
from lake_assets.orchestration.partitions import days_of, ranges_of
from lake_assets.orchestration.reporting import DayEvents, left_out, write_reported
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.rows import DailyRows
from lake_assets.sources.batches import to_batches
from lake_assets.sources.errors import SourceMismatch
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.reader import StoredDays
from lake_assets.storage.shrink import DayInputs

STAMP_COLUMN = "generated_at"
"""Filled in with the moment of the run where a derivation leaves it out."""


def inputs_of(dataset: Dataset) -> Mapping[str, dg.AssetIn]:
    """The upstreams of a derived dataset, each with its window, by SQL name."""
    return {
        _input_name(upstream): dg.AssetIn(
            key=dg.AssetKey(upstream.split("/")),
            partition_mapping=dg.TimeWindowPartitionMapping(
                start_offset=-(window.days - 1 + window.lag_d),
                end_offset=-window.lag_d,
                # Before the first day of an upstream, and after its last, there is nothing.
                allow_nonexistent_upstream_partitions=True,
            ),
            metadata={COLUMNS_METADATA: list(window.columns)},
            input_manager_key="lake_io",
        )
        for upstream, window in derivation_of(dataset).windows.items()
    }


def derived(dataset: Dataset, clock: Callable[[], datetime]) -> Callable[..., DayEvents]:
    """The function of a derived dataset's asset."""

    def derive(context: dg.AssetExecutionContext, **stored: StoredDays) -> DayEvents:
        engine: DuckDBResource = context.resources.duckdb
        lake: LakeResource = context.resources.lake
        seen = lake.store().etags(dataset)
        with engine.get_connection() as connection:
            work = _DerivedDays(
                dataset=dataset,
                derivation=derivation_of(dataset),
                stored=stored,
                days=days_of(context.partition_keys),
                now=clock().astimezone(UTC),
                connection=connection,
                settings={
                    name: read_lake_setting(name, lake.env)
                    for name in derivation_of(dataset).settings
                },
            )
            rows = DailyRows(
                dataset=dataset,
                days=work.computable(),
                read=work.read,
                source=str(dataset.source),
                seen=seen,
                inputs=work.inputs,
            )
            with _as_failures(dataset):
                yield from write_reported(context, rows, work.notes)
        for day, reason in work.left_out.items():
            yield left_out(context, dataset, day, reason)
        yield from check_results(dataset, rows.facts, stored=seen, now=clock())

    return derive


@dataclass(slots=True, kw_only=True)
class _DerivedDays:
    """The days of one run. `notes` says of each what it was made of, `left_out` why it was not.

    `inputs` has the days of each upstream that were there, for what is stored with a day.
    """

    dataset: Dataset
    derivation: Derivation
    stored: Mapping[str, StoredDays]
    days: Sequence[date]
    now: datetime
    connection: duckdb.DuckDBPyConnection
    settings: Mapping[str, Any]
    notes: dict[date, Mapping[str, Any]] = field(
        init=False, default_factory=dict[date, Mapping[str, Any]]
    )
    left_out: dict[date, str] = field(init=False, default_factory=dict[date, str])
    inputs: dict[date, DayInputs] = field(init=False, default_factory=dict[date, DayInputs])
    _inputs: dict[str, pa.Table] = field(init=False, default_factory=dict[str, pa.Table])

    def computable(self) -> Iterator[date]:
        """The days that have an input, each when its inputs are read."""
        for day in self.days:
            if reason := self._refused(day):
                self.left_out[day] = reason
                continue
            missing: dict[str, str] = {}
            read_days: dict[str, frozenset[date]] = {}
            absent_days: dict[str, frozenset[date]] = {}
            for upstream, window in self.derivation.windows.items():
                wanted = window.of(day)
                table, absent = self.stored[_input_name(upstream)].window(wanted)
                self._inputs[upstream] = table
                absent_days[upstream] = frozenset(absent)
                read_days[upstream] = frozenset(wanted) - absent_days[upstream]
                if absent:
                    missing[upstream] = in_ranges(absent)
            if any(read_days.values()):
                counts = {upstream: len(days) for upstream, days in read_days.items()}
                self.notes[day] = {"input_days": counts, "missing_inputs": missing}
                self.inputs[day] = DayInputs(read=read_days, missing=absent_days)
                yield day
            else:
                said = "; ".join(f"{upstream} {days}" for upstream, days in missing.items())
                self.left_out[day] = f"nothing to compute it from: the lake has no {said}"

    def _refused(self, day: date) -> str:
        """Why a day can't be computed now: an input day that decides it failed a check."""
        for upstream, window in self.derivation.windows.items():
            newest = window.of(day)[-1]
            why = self.stored[_input_name(upstream)].refused.get(newest)
            if why is not None:
                return f"{upstream} {newest} failed a check: {why}; it waits until that is mended"
        return ""

    def read(self, day: date) -> Generator[pa.RecordBatch]:
        """The rows of the day that `computable` gave last."""
        rows = self._rows(day)
        if isinstance(rows, pa.Table):
            yield from self._stamped(rows).to_batches()
            return
        stamp = {STAMP_COLUMN: self.now} if STAMP_COLUMN in self.dataset.column_names else {}
        yield from to_batches(({**stamp, **row} for row in rows), self.dataset)

    def _rows(self, day: date) -> Rows:
        if self.derivation.derive is None:
            return run_sql(self.connection, self.derivation, self._inputs, day=day)
        inputs = StoredInputs(
            tables=self._inputs, days=self.inputs[day].read, settings=self.settings
        )
        return self.derivation.derive(inputs, day=day)

    def _stamped(self, table: pa.Table) -> pa.Table:
        if STAMP_COLUMN in table.column_names or STAMP_COLUMN not in self.dataset.column_names:
            return table
        moment = pa.scalar(self.now, pa.timestamp("us", tz="UTC"))
        return table.append_column(STAMP_COLUMN, pa.repeat(moment, table.num_rows))


@contextmanager
def _as_failures(dataset: Dataset) -> Generator[None]:
    """What trying again would not mend, as failures of the run with one line to act on."""
    try:
        yield
    except (duckdb.Error, SchemaMismatch, SettingsError, SourceMismatch) as error:
        said = str(error).strip().splitlines()[0]
        raise dg.Failure(f"{dataset.partition}: {said}", allow_retries=False) from error


def in_ranges(days: Sequence[date]) -> str:
    """Ascending days in few words: `2026-11-01 to 2026-11-03, 2026-11-07`."""
    return ", ".join(
        first.isoformat() if first == last else f"{first} to {last}"
        for first, last in ranges_of(days)
    )


def _input_name(upstream: str) -> str:
    return upstream.replace("/", "_")
