"""One run's collection of one dataset: which days are asked for, which rows are written.

Belongs here: days out of reach, days that are kept, days not published yet; rows that came twice or
are no news; what is told to people about each day.
Does not belong here: fetching (collectors), rows as batches (`batches`), Dagster.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.sources.batches import to_batches
from lake_assets.sources.collect import Ask, Collector
from lake_assets.sources.errors import NotPublishedYet, NotShownAnyMore, SourceMismatch
from lake_assets.sources.fading import StoredDay
from lake_assets.sources.fitting import UNFIT_VALUES, Fitting
from lake_assets.sources.http import HttpSource
from lake_assets.sources.revisions import COLLECTED_COLUMN, HASH_COLUMN, Known, row_hash
from lake_assets.storage.store import LakeStore


@dataclass(slots=True, kw_only=True)
class Collection:
    """One run's collection of one dataset. `notes` says per day what became of it, for people.

    `said` has by day what a check tells of it.

    With `keep_stored`, days that the lake already has are not asked for again; they are in `kept`.
    With `replace`, nothing stays of a stored day of a source that fades.
    Days that get no object, because they are out of reach or not published yet, are in `missing`.
    """

    dataset: Dataset
    collector: Collector
    settings: Mapping[str, str]
    http: HttpSource
    store: LakeStore
    days: Sequence[date]
    now: datetime
    warn: Callable[[str], None]
    keep_stored: bool = False
    replace: bool = False
    notes: dict[date, dict[str, str | int]] = field(
        init=False, default_factory=dict[date, dict[str, str | int]]
    )
    said: dict[date, dict[str, str]] = field(init=False, default_factory=dict[date, dict[str, str]])
    kept: set[date] = field(init=False, default_factory=set[date])
    missing: set[date] = field(init=False, default_factory=set[date])
    _open: dict[date, Generator[pa.RecordBatch]] = field(
        init=False, default_factory=dict[date, Generator[pa.RecordBatch]]
    )

    def wanted(self) -> Sequence[date]:
        """The days to ask for; the others get their reason noted, before anything is asked.

        Raises:
            SourceMismatch: the source can be asked for none of the days.
        """
        reach_d = self.collector.reach_d
        oldest = date.min if reach_d is None else self._today - timedelta(days=reach_d)
        stored = set(self.store.days(self.dataset)) if self.keep_stored else set[date]()
        within = [day for day in self.days if day >= oldest]
        if not within:
            raise SourceMismatch(
                f"{self.dataset.partition}: nothing older than {oldest} can be collected: "
                f"{self.collector.gone}"
            )
        if beyond := len(self.days) - len(within):
            self.warn(f"{beyond} of {len(self.days)} days are out of reach: {self.collector.gone}")
        for day in self.days:
            if day < oldest:
                self.missing.add(day)
                self.notes[day] = {"rows": 0, "reason": f"out of reach: {self.collector.gone}"}
            elif day in stored:
                self.kept.add(day)
                self.notes[day] = {"reason": "the lake has this day already; it was kept as it is"}
        return [day for day in within if day not in self.kept]

    def published(self, wanted: Sequence[date]) -> Iterator[date]:
        """Those of the days that the source has released, each found out when it is its turn.

        Raises:
            SourceError: the source did not answer, or not as expected.
        """
        known = Known.read(self.dataset, self.store) if self._is_slow and wanted else None
        forgotten: list[NotShownAnyMore] = []
        for day in wanted:
            ask = Ask(
                day=day,
                days=wanted,
                now=self.now,
                http=self.http,
                settings=self.settings,
                known=known,
                warn=self.warn,
            )
            batches = self._batches(ask)
            try:
                first = next(batches, None)
            except NotPublishedYet as reason:
                self.missing.add(day)
                self.notes[day] = {"rows": 0, "reason": f"not published yet: {reason}"}
                continue
            except NotShownAnyMore as reason:
                if len(wanted) == 1:
                    raise
                self.missing.add(day)
                self.notes[day] = {"rows": 0, "reason": f"{reason}; what the lake has of it stays"}
                self.warn(str(reason))
                forgotten.append(reason)
                continue
            self._open[day] = _chained(first, batches)
            yield day
        if forgotten and len(forgotten) == len(wanted):
            raise forgotten[-1]

    def read(self, day: date) -> Generator[pa.RecordBatch]:
        """The batches of a day that `published` gave last."""
        return self._open.pop(day)

    @property
    def _today(self) -> date:
        return self.now.astimezone(UTC).date()

    @property
    def _is_slow(self) -> bool:
        return HASH_COLUMN in self.dataset.column_names

    def _batches(self, ask: Ask) -> Generator[pa.RecordBatch]:
        note = self.notes.setdefault(ask.day, {})
        fitting = Fitting(dataset=self.dataset)
        came = completed(self.dataset, self.collector, ask, fitting)
        rows = self._news(self._once(came, note), ask, note)
        if stored := self._stored(ask.day):
            rows = stored.joined(rows, note)
        empty = True
        for batch in to_batches(rows, self.dataset):
            empty = False
            yield batch
        fitting.refuse_change()
        if said := fitting.said():
            note["odd_values"] = fitting.count
            self.warn(f"{ask.day}: {said}")
        if nulled := fitting.said_of_nulled():
            self.said[ask.day] = {UNFIT_VALUES: nulled}
        if empty:
            note.setdefault("reason", "the source has no rows for the day")

    def _stored(self, day: date) -> StoredDay | None:
        """What the lake has of the day, where that must not get lost."""
        if self.replace or not self.collector.fades:
            return None
        return StoredDay.read(self.dataset, self.store, day, whole=self.collector.whole)

    def _once(
        self, rows: Iterable[dict[str, object]], note: dict[str, str | int]
    ) -> Iterator[dict[str, object]]:
        """Each key once, as it came first: pages that shift show rows twice."""
        seen: dict[tuple[object, ...], str] = {}
        for row in rows:
            key = tuple(row.get(name) for name in self.dataset.key)
            said = row_hash(row) if key else ""
            if key and key in seen:
                _count(note, "repeated_rows" if seen[key] == said else "conflicting_rows")
                continue
            seen[key] = said
            yield row
        if "conflicting_rows" in note:
            self.warn(
                f"{note['conflicting_rows']} rows came again with other values; the first was kept"
            )

    def _news(
        self, rows: Iterable[dict[str, object]], ask: Ask, note: dict[str, str | int]
    ) -> Iterator[dict[str, object]]:
        """Of a slow source the new and revised rows, else all."""
        if ask.known is None:
            yield from rows
            return
        news: list[dict[str, object]] = []
        for row in rows:
            if ask.known.is_news(row, day=ask.day):
                news.append(row)
                yield row
            else:
                _count(note, "unchanged_rows")
        if not news:
            note["reason"] = "nothing new or revised since the last time"
        ask.known.learn(ask.day, news)


def completed(
    dataset: Dataset, collector: Collector, ask: Ask, fitting: Fitting
) -> Iterator[dict[str, object]]:
    """What a collector gives, as far as it fits, with what is filled in for it."""
    for row in collector.collect(ask):
        full = fitting.fit(row)
        if COLLECTED_COLUMN in dataset.column_names:
            full.setdefault(COLLECTED_COLUMN, ask.now)
        if HASH_COLUMN in dataset.column_names:
            full[HASH_COLUMN] = row_hash(full, without=collector.bookkeeping)
        yield full


def _chained(
    first: pa.RecordBatch | None, rest: Generator[pa.RecordBatch]
) -> Generator[pa.RecordBatch]:
    if first is not None:
        yield first
    yield from rest


def _count(note: dict[str, str | int], what: str) -> None:
    note[what] = int(note.get(what, 0)) + 1
