"""The rows of one table on one day, made column by column when they are asked for.

Belongs here: frames, their random numbers, the rows of other frames that they refer to.
Does not belong here: what a column holds (`rules`, `special`), how many rows there are (`rhythm`).

Each column draws from a generator of its own, seeded by table, day, part and column: neither the
order in which columns are asked for nor a further column, table or day changes any of the others.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar, cast

import numpy as np

from lake_assets.catalog import Column, ColumnType
from lake_assets.sample_data.keys import KeyPlan, key_plan
from lake_assets.sample_data.planted import Metric, active
from lake_assets.sample_data.pools import pool_of
from lake_assets.sample_data.rhythm import cumulative, falling_weights, rows_on
from lake_assets.sample_data.seeds import generator
from lake_assets.sample_data.spec import SampleSpec
from lake_assets.sample_data.tables import Link, Table, may_inherit
from lake_assets.sample_data.values import Floats, Ints, Mask, Values, coded

T = TypeVar("T")

PART_ROWS = 65_536
"""Rows that are made at once: a day of any size needs the memory of one part."""

DAY_US = 86_400_000_000
_KEPT_FRAMES = 16
_NUMBERS = frozenset({ColumnType.INT64, ColumnType.FLOAT64, ColumnType.DECIMAL})
_NO_LINK_SHARE = 0.1
_GRID_CELLS = 500
_EARLIER = 12

Maker = Callable[["Frame", Column], Values]


class Frame:
    """A part of the rows of a table on a day."""

    def __init__(self, frames: "Frames", table: Table, *, day: date, part: int, rows: int) -> None:
        self.frames = frames
        self.table = table
        self.day = day
        self.part = part
        self.rows = rows
        self._memo: dict[str, object] = {}

    @property
    def days_ago(self) -> int:
        """Days from this day to the last one of the sample."""
        return (self.frames.spec.last_day - self.day).days

    @property
    def day_us(self) -> int:
        """The start of the day, in µs since the epoch."""
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        return int(midnight.timestamp()) * 1_000_000

    @property
    def day_number(self) -> int:
        """The day, in days since the epoch."""
        return self.day_us // DAY_US

    @property
    def positions(self) -> Ints:
        """The place of each row among all rows of the day."""
        return np.arange(self.rows, dtype=np.int64) + self.part * PART_ROWS

    def has(self, *names: str) -> bool:
        """Whether the table has all of these columns."""
        return self.table.has(*names)

    def has_numbers(self, *names: str) -> bool:
        """Whether the table has all of these columns, each of them as a number."""
        return self.has(*names) and all(
            self.table.dataset.column(name).type in _NUMBERS for name in names
        )

    def rng(self, what: str) -> np.random.Generator:
        """The random generator of this frame for one purpose."""
        seed = self.frames.spec.seed
        return generator(seed, self.table.partition, self.day, self.part, what)

    def chance(self, what: str, share: float | Floats) -> Mask:
        """True for about this share of the rows."""
        return self.rng(what).random(self.rows) < share

    def choose(self, what: str, weights: Sequence[float] | Floats) -> Ints:
        """One of `len(weights)` choices for each row."""
        drawn = self.rng(what).random(self.rows)
        return np.searchsorted(cumulative(weights), drawn, side="right").astype(np.int64)

    def words(self, what: str, words: tuple[str, ...], *, steepness: float = 0.8) -> Values:
        """One of `words` for each row, the first ones most often."""
        return coded(self.choose(what, falling_weights(len(words), steepness=steepness)), words)

    def memo(self, name: str, make: "Callable[[Frame], T]") -> T:
        """What `make` gives for this frame, computed once."""
        if name not in self._memo:
            self._memo[name] = make(self)
        return cast("T", self._memo[name])

    def values(self, name: str) -> Values:
        """The values of a declared column."""
        column = self.table.dataset.column(name)
        return self.memo(f"column {name}", lambda frame: frame.frames.make(frame, column))

    def relative(self) -> "tuple[Frame, Ints] | None":
        """The frame that this one refers to first of all, and the row of it for each row here."""
        links = self.table.links
        return self.related(links[0]) if links else None

    def related(self, link: Link) -> "tuple[Frame, Ints] | None":
        """The frame that holds what a link refers to, and the row of it for each row here."""
        return self.memo(f"link {link.column}", lambda frame: frame._related(link))

    def _related(self, link: Link) -> "tuple[Frame, Ints] | None":
        owner = self.frames.tables[link.owner]
        parts = self.frames.parts(owner, self.day)
        if not parts:
            return None
        frame = self.frames.frame(owner, self.day, self.part % len(parts))
        is_main = link == self.table.links[0]
        picks = frame.picks(self.table.profile.among) if is_main else np.arange(frame.rows)
        if is_main and self.table.profile.one_each:
            return frame, picks
        if link.column == self.frames.key_plan(self.table).numbered:
            return frame, np.arange(self.rows)
        picks = picks if len(picks) else np.arange(frame.rows)
        drawn = self.rng(f"link {link.column}").integers(0, len(picks), self.rows)
        # Rows of a day stand in the order of what they refer to; a state has no order.
        return frame, picks[drawn if owner.is_snapshot else np.sort(drawn)]

    def picks(self, among: str) -> Ints:
        """The rows whose column `among` is neither null nor 0; all without one."""
        if not among or not self.has(among):
            return np.arange(self.rows)
        values = self.values(among)
        chosen = np.ones(self.rows, dtype=np.bool_) if values.words else values.data != 0
        return np.flatnonzero(chosen if values.null is None else chosen & ~values.null)

    def carried(self, name: str) -> Values | None:
        """The values of a column that follow from a relation or the grid; None if none does."""
        for link in self.table.links:
            is_main = link == self.table.links[0]
            shared = name == link.column or (is_main and self._is_carried(name))
            related = self.related(link) if shared else None
            if related is None:
                continue
            frame, rows = related
            theirs = link.to_column if name == link.column else name
            if not frame.has(theirs) or not self._same_type(frame, name, theirs):
                continue
            values = frame.values(theirs).take(rows)
            accepted = self.table.dataset.column(name).values
            if accepted and not set(values.words) <= set(accepted):
                continue
            optional = name == link.column and not self.table.profile.one_each
            return (
                values.where_null(self.chance(f"no {name}", _NO_LINK_SHARE)) if optional else values
            )
        return self._gridded(name)

    def _same_type(self, other: "Frame", name: str, theirs: str) -> bool:
        return other.table.dataset.column(theirs).type is self.table.dataset.column(name).type

    def own_reference(self, name: str) -> Values | None:
        """The values of a column that refers to rows of its own table; None if it does not."""
        for reference in self.table.dataset.references:
            if reference.column == name and reference.partition == self.table.partition:
                earlier = np.arange(self.rows) - self.rng(name).integers(1, _EARLIER, self.rows)
                none = (earlier < 0) | self.chance(f"no {name}", 0.5)
                values = self.values(reference.to_column).take(np.maximum(earlier, 0))
                return values.where_null(none)
        return None

    def _is_carried(self, name: str) -> bool:
        return name != self.table.own_id and (may_inherit(name) or name in self.table.profile.carry)

    def _gridded(self, name: str) -> Values | None:
        stride = 1
        for column_name, words in grid_of(self.table).items():
            if column_name == name:
                return coded((self.positions // stride) % len(words), words)
            stride *= len(words)
        return None

    def effects(self, metric: Metric) -> Iterator[tuple[Mask, float]]:
        """The rows that planted anomalies change in this metric, each with the factor."""
        for planted, factor in active(
            partition=self.table.partition, metric=metric, days_ago=self.days_ago
        ):
            if self.has(planted.subject_column):
                yield self.values(planted.subject_column).is_word(planted.subject), factor


def grid_of(table: Table) -> Mapping[str, tuple[str, ...]]:
    """The columns whose combinations are the rows of a table, with their words."""
    named = table.profile.grid or (() if table.own_id else table.dataset.key)
    grid: dict[str, tuple[str, ...]] = {}
    for name in named:
        words = pool_of(table.dataset.column(name)) if table.has(name) else None
        if words is not None:
            grid[name] = words
        elif not table.profile.grid and name.endswith("_id"):
            # Another part of the key is unique by itself: rows need no grid.
            return {}
    return grid


class Frames:
    """All frames of a sample, made when asked for; the last ones are kept."""

    def __init__(self, tables: Mapping[str, Table], spec: SampleSpec, make: Maker) -> None:
        self.tables = tables
        self.spec = spec
        self.make = make
        self._kept: OrderedDict[tuple[str, date, int], Frame] = OrderedDict()
        self._parts: dict[tuple[str, date], tuple[int, ...]] = {}
        self._key_plans: dict[str, KeyPlan] = {}

    def key_plan(self, table: Table) -> KeyPlan:
        """How the key of a table stays unique."""
        if table.partition not in self._key_plans:
            self._key_plans[table.partition] = key_plan(table, grid_of(table))
        return self._key_plans[table.partition]

    def days(self, table: Table) -> tuple[date, ...]:
        """The days whose frames make up the table, oldest first."""
        days = self.spec.days_of.get(table.partition, self.spec.days)
        ago = (0,) if table.is_snapshot else range(days - 1, -1, -1)
        return tuple(self.spec.last_day - timedelta(days=back) for back in ago)

    def parts(self, table: Table, day: date) -> tuple[int, ...]:
        """The rows of each part of a day; empty on a day without rows."""
        day = self.spec.last_day if table.is_snapshot else day
        known = (table.partition, day)
        if known not in self._parts:
            self._parts[known] = tuple(self._count(table, day))
        return self._parts[known]

    def frame(self, table: Table, day: date, part: int) -> Frame:
        """One part of the rows of a table on a day (of a snapshot: as they stand)."""
        rows = self.parts(table, day)[part]
        day = self.spec.last_day if table.is_snapshot else day
        known = (table.partition, day, part)
        if known in self._kept:
            self._kept.move_to_end(known)
        else:
            self._kept[known] = Frame(self, table, day=day, part=part, rows=rows)
            while len(self._kept) > _KEPT_FRAMES:
                self._kept.popitem(last=False)
        return self._kept[known]

    def _count(self, table: Table, day: date) -> Iterator[int]:
        profile = table.profile
        owner = self.tables[table.links[0].owner] if table.links else None
        if owner is not None and (profile.one_each or profile.among):
            picked = [
                len(self.frame(owner, day, part).picks(profile.among))
                for part in range(len(self.parts(owner, day)))
            ]
            if profile.one_each or not any(picked):
                yield from picked if any(picked) else ()
                return
        plan = self.key_plan(table)
        if plan.linked:
            (link,) = (link for link in table.links if link.column == plan.numbered)
            left = self._rows(table, day)
            for theirs in self.parts(self.tables[link.owner], day):
                yield min(left, theirs)
                left -= min(left, theirs)
            return
        rows = self._rows(table, day)
        if plan.most_rows is not None:
            rows = min(rows, plan.most_rows)
        for start in range(0, rows, PART_ROWS):
            yield min(PART_ROWS, rows - start)

    def _rows(self, table: Table, day: date) -> int:
        size = max(1, round(self.spec.rows_per_day * table.profile.rows))
        grid = grid_of(table)
        if grid:
            cells = int(np.prod([len(words) for words in grid.values()]))
            return cells if cells <= _GRID_CELLS else min(cells, size)
        return size if table.is_snapshot else rows_on(table, self.spec, day)
