"""From rows by day to stored partitions, one at a time.

Belongs here: the value that passes from an asset to its writer and back to its checks; writing it.
Does not belong here: reading rows (`sources`), encoding them (`storage`), reporting to Dagster
(`io_manager`, `collect`).
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.orchestration.judge import judge
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.day_facts import DayFacts, merge_facts, read_facts
from lake_assets.storage.evolution import ACCEPT_TAG
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter, WrittenPartition


@dataclass(slots=True, kw_only=True)
class DailyRows:
    """The days to write and how each is read. `written_days` fills `facts`, day by day.

    `days` may find out one by one which days there are; it is gone through once. `notes` are
    metadata of a day, and `said` by check what the reader found: `read` fills them. `known` are the
    facts of all days, also of those that were written before.
    """

    dataset: Dataset
    days: Iterable[date]
    read: Callable[[date], Generator[pa.RecordBatch]]
    source: str
    facts: dict[date, DayFacts] = field(default_factory=dict[date, DayFacts])
    notes: dict[date, dict[str, Any]] = field(default_factory=dict[date, dict[str, Any]])
    said: dict[date, dict[str, str]] = field(default_factory=dict[date, dict[str, str]])
    known: dict[date, DayFacts] = field(default_factory=dict[date, DayFacts])


def written_days(
    rows: DailyRows,
    store: LakeStore,
    *,
    run_id: str,
    code_version: str,
    tags: Mapping[str, str],
) -> Generator[WrittenPartition]:
    """Write each day as one whole object, judge it, and give it as soon as that is done.

    `tags` are those of the run: one of them lets columns go (`storage.evolution`).

    Raises:
        dagster.Failure: the rows do not fit the declaration; a retry would not help.
        StorageError: the store did not answer; a retry may help.
    """
    writer = PartitionWriter(
        store,
        run_id=run_id,
        code_version=code_version,
        accept_schema_change=tags.get(ACCEPT_TAG) == "true",
    )
    history: dict[date, DayFacts] | None = None
    stored: list[date] = []
    try:
        for day in rows.days:
            try:
                with closing(rows.read(day)) as batches:
                    written = writer.write(rows.dataset, day, batches)
            except SchemaMismatch as error:
                raise dg.Failure(f"{day}: {error}", allow_retries=False) from error
            stored.append(day)
            if history is None:
                history = rows.known = read_facts(store, rows.dataset)
            history[day] = rows.facts[day] = judge(
                written, history=history, store=store, said=rows.said.get(day, {})
            )
            yield written
    finally:
        # Days that were replaced before a failure are visible too: readers must see them. They look
        # when the token changes, so the verdicts come before it.
        if stored:
            try:
                merge_facts(store, rows.dataset, rows.facts)
            finally:
                store.bump_version(rows.dataset, stored)
