"""From rows by day to stored partitions, one at a time.

Belongs here: the value that passes from an asset to its writer and back to its checks; writing it.
Does not belong here: reading rows (`sources`), encoding them (`storage`), reporting to Dagster
(`io_manager`, `collect`).
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.orchestration.judge import judge
from lake_assets.orchestration.partitions import ranges_of
from lake_assets.sources.fading import REPLACE_TAG
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.day_facts import DayFacts, merge_facts_of_stored, read_facts
from lake_assets.storage.evolution import ACCEPT_TAG
from lake_assets.storage.shrink import ALLOW_TAG, DayShrinks
from lake_assets.storage.store import LakeStore
from lake_assets.storage.stored_facts import DayInputs
from lake_assets.storage.writer import Origin, PartitionWriter, WrittenPartition


@dataclass(slots=True, kw_only=True)
class DailyRows:
    """The days to write and how each is read. `written_days` fills `facts`, day by day.

    `days` may find out one by one which days there are; it is gone through once. `seen` has the
    ETags of the stored days from before the source was read, `absent` the columns that it lacks.
    `inputs` says of a derived day, once `days` gave it, which days of other datasets it is made of.
    With `joined` the rows of a day contain the stored ones. `release` ends what reads, for a writer
    that fails: Dagster does not tell the asset. `failed` has the days that were left as they are,
    and why.

    `notes` are metadata of a day, and `said` by check what the reader found: `read` fills them.
    `known` are the facts of all days, also of those that were written before.
    """

    dataset: Dataset
    days: Iterable[date]
    read: Callable[[date], Generator[pa.RecordBatch]]
    source: str
    seen: Mapping[date, str] | None = None
    absent: frozenset[str] = frozenset()
    inputs: Mapping[date, DayInputs] = field(default_factory=dict[date, DayInputs])
    joined: bool = False
    release: Callable[[], None] = lambda: None
    facts: dict[date, DayFacts] = field(default_factory=dict[date, DayFacts])
    failed: dict[date, str] = field(default_factory=dict[date, str])
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

    A day that does not fit the declaration, or that has too much less than the stored one, is left
    as it is; the other days are written, and then the run fails and names it. `tags` are those of
    the run: some of them allow what is refused otherwise.

    Raises:
        dagster.Failure: days were left as they are; a retry would not help.
        StorageError: the store did not answer; a retry may help.
    """
    writer = PartitionWriter(
        store,
        run_id=run_id,
        code_version=code_version,
        accept_schema_change=tags.get(ACCEPT_TAG) == "true",
        # Who starts a day of a fading source anew lets its rows go.
        allow_shrink="true" in {tags.get(ALLOW_TAG), tags.get(REPLACE_TAG)},
    )
    history: dict[date, DayFacts] | None = None
    stored: list[date] = []
    try:
        for day in rows.days:
            origin = Origin(
                seen=rows.seen,
                inputs=rows.inputs.get(day),
                absent=rows.absent,
                strict=rows.joined,
            )
            try:
                with closing(rows.read(day)) as batches:
                    written = writer.write(rows.dataset, day, batches, origin=origin)
            except (SchemaMismatch, DayShrinks) as error:
                rows.failed[day] = str(error)
                continue
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
                merge_facts_of_stored(store, rows.dataset, rows.facts)
            finally:
                store.bump_version(rows.dataset, stored)
    if rows.failed:
        raise dg.Failure(_said_of_failed(rows, stored), allow_retries=False)


def _said_of_failed(rows: DailyRows, stored: Sequence[date]) -> str:
    """Which days were left as they are, why, and what became of the others."""
    by_reason: dict[str, list[date]] = {}
    for day, reason in rows.failed.items():
        by_reason.setdefault(reason, []).append(day)
    said = "; ".join(
        f"{', '.join(_span(*each) for each in ranges_of(days))}: {reason}"
        for reason, days in by_reason.items()
    )
    if len(rows.failed) + len(stored) == 1:
        return said
    count = len(rows.failed)
    others = f"; the other {len(stored)} were written" if stored else ""
    return f"{count} of {count + len(stored)} days were not written{others}. {said}"


def _span(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
