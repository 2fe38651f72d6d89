"""What a stored day would lose if another one took its place, and whether that is let happen.

Shares are shares of the fullest version that the day ever had, or many small losses would empty it.
A run that may let rows go, and a mirror, begin anew.

Belongs here: counting what a new day lacks of the stored one, the verdict.
Does not belong here: how much a dataset may lose (`lake_assets.catalog`), reading a stored day
(`stored_facts`), writing (`writer`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from lake_assets.catalog import Dataset, ShrinkPolicy
from lake_assets.storage.measure import RowMeasure
from lake_assets.storage.stored_facts import DayInputs, Fullest, Inputs, StoredFacts

ALLOW_TAG = "lake/allow_shrink"
"""A run with this tag set to `true` replaces stored days also by less than they have."""

MIN_VALUES = 50
"""A column with fewer values is only said to have lost them when none is left."""


class DayShrinks(ValueError):
    """A day has less than the stored one: the message has both counts and the tag to allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is lost of a stored day: rows, values by column as `(stored, new)`, input days.

    `thinned` are values by column as `(fullest version, new)`; `since` is what the new day is
    judged by, and has the rows that go now among its `gone`.
    """

    rows: int
    columns: Mapping[str, tuple[int, int]]
    thinned: Mapping[str, tuple[int, int]]
    inputs: Inputs
    since: Fullest

    def of_columns(self, names: frozenset[str]) -> "Loss":
        """The same without what other columns lose."""

        def kept(columns: Mapping[str, tuple[int, int]]) -> Mapping[str, tuple[int, int]]:
            return {name: counts for name, counts in columns.items() if name in names}

        return replace(self, columns=kept(self.columns), thinned=kept(self.thinned))

    def fullest_after(self, new: RowMeasure) -> Fullest | None:
        """What the footer of the new day says of the versions before it; None if it has it all."""
        since = self.since
        filled = {name: max(count, since.filled.get(name, 0)) for name, count in new.filled.items()}
        after = Fullest(rows=max(since.rows, new.rows), gone=since.gone, filled=filled)
        is_all = not after.gone and after.rows == new.rows and after.filled == new.filled
        return None if is_all else after


def loss(dataset: Dataset, stored: StoredFacts, new: RowMeasure, inputs: DayInputs | None) -> Loss:
    """Compare a stored day with the measures of the one that would take its place."""
    fewer = max(0, stored.rows - new.rows)
    # As many rows as before may be other rows: a watermark that was stamped anew moves them.
    other = 0 if stored.keys is None else new.keys.lacking(stored.keys)
    lost = max(fewer, other)
    before = stored.fullest or Fullest(rows=stored.rows, gone=0, filled=stored.filled)
    most = {name: max(count, before.filled.get(name, 0)) for name, count in stored.filled.items()}
    most_rows = max(stored.rows, before.rows)
    # Of a state, others take the place of rows that go. Rows without a key are only counted.
    adds_up = dataset.is_of_past and bool(dataset.key)
    gone = max(before.gone + lost if adds_up else lost, most_rows - new.rows)

    def lessened(counts: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        return {
            name: (count, new.filled.get(name, 0))
            for name, count in counts.items()
            if count > new.filled.get(name, 0) and not _may_vanish(dataset, name)
        }

    gone_inputs: dict[str, frozenset[date]] = {}
    if inputs is not None:
        for upstream, days in (stored.inputs or {}).items():
            # Not all that is no longer read: a derivation may have got a smaller window.
            if lacking := days & inputs.missing.get(upstream, frozenset()):
                gone_inputs[upstream] = lacking
    return Loss(
        rows=lost,
        columns=lessened(stored.filled),
        thinned=lessened(most),
        inputs=gone_inputs,
        since=Fullest(rows=most_rows, gone=gone, filled=most),
    )


def refuse_loss(
    dataset: Dataset,
    stored: StoredFacts,
    new: RowMeasure,
    found: Loss,
    *,
    absent: frozenset[str] = frozenset(),
    strict: bool = False,
) -> None:
    """Refuse a day that has much less than the stored one; `absent` columns the source has not.

    With `strict` no row may be lost: the caller joined the day with what is stored.

    Raises:
        DayShrinks: it names both counts, and the tag that allows it.
    """
    is_mirror = dataset.shrink.policy is ShrinkPolicy.MIRROR
    if stored.unreadable:
        if is_mirror:
            return
        raise _refused(
            f"the stored object can't be compared with: {stored.unreadable}",
            new_has=f"{_rows(new.rows)}",
        )
    if found.inputs:
        # As many rows as before say nothing here: they would be sums of less.
        days = "; ".join(f"{name} {_days(found.inputs[name])}" for name in sorted(found.inputs))
        raise _refused(
            f"the stored day has {_rows(stored.rows)} and was computed also from {days}",
            new_has=f"{_rows(new.rows)} without that, since those days are missing or failed a "
            "check",
        )
    if stored.rows and not new.rows:
        if is_mirror:
            return
        raise _refused(f"the stored day has {_rows(stored.rows)}", new_has="none")
    emptied = [
        name
        for name, (before, after) in found.columns.items()
        # The few values of a column may go with the rows that a mirror lets go, but not by a new
        # name of the column.
        if not after and not (is_mirror and before <= found.rows and name not in absent)
    ]
    if is_mirror:
        _refuse_emptied(found, emptied, new, absent)
        return
    share = 0.0 if strict else dataset.shrink.share
    since = found.since
    if found.rows > share * stored.rows:
        raise _refused(
            f"the stored day has {_rows(stored.rows)}",
            new_has=f"{_rows(new.rows)}, and {found.rows:,} of the stored ones are not among them "
            f"(at most {share:.0%} may go)",
        )
    if found.rows and since.gone > share * since.rows:
        raise _refused(
            f"the stored day has {_rows(stored.rows)} and had {_rows(since.rows)} at its fullest",
            new_has=f"{_rows(new.rows)}, {found.rows:,} of the stored ones are not among them, and "
            f"with those that went before {since.gone:,} are gone (at most {share:.0%} may go)",
        )
    _refuse_emptied(found, emptied, new, absent)
    thinner = [
        name
        for name, (before, after) in found.thinned.items()
        # A column that has as many values as are stored loses none now.
        if name in found.columns
        and before >= MIN_VALUES
        and before - after > max(0.5, share) * before
    ]
    if thinner:
        raise _refused(
            f"the stored day has {_counts(found.columns, thinner, stored=True)}"
            + _at_fullest(found, thinner),
            new_has=_counts(found.columns, thinner, stored=False),
        )


def _refuse_emptied(
    found: Loss, emptied: list[str], new: RowMeasure, absent: frozenset[str]
) -> None:
    if emptied:
        raise _refused(
            f"the stored day has {_counts(found.columns, emptied, stored=True)}",
            new_has=f"none in {_rows(new.rows)}" + _absent(emptied, absent),
        )


def _at_fullest(found: Loss, names: list[str]) -> str:
    if all(found.thinned[name][0] == found.columns[name][0] for name in names):
        return ""
    return f" and had {_counts(found.thinned, names, stored=True)} at its fullest"


def _may_vanish(dataset: Dataset, name: str) -> bool:
    return name in dataset.column_names and dataset.column(name).transient


def _refused(stored_has: str, *, new_has: str) -> DayShrinks:
    return DayShrinks(
        f"{stored_has}, the new one has {new_has}; it was not replaced. A run with the tag "
        f"{ALLOW_TAG}=true replaces it"
    )


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _counts(columns: Mapping[str, tuple[int, int]], names: list[str], *, stored: bool) -> str:
    place = 0 if stored else 1
    return ", ".join(f"{columns[name][place]:,} values of `{name}`" for name in names)


def _absent(names: list[str], absent: frozenset[str]) -> str:
    gone = [f"`{name}`" for name in names if name in absent]
    return f" (the source has no column {', '.join(gone)})" if gone else ""


def _days(days: frozenset[date]) -> str:
    listed = sorted(days)
    first = f"{listed[0]}" if len(listed) == 1 else f"{listed[0]} to {listed[-1]}"
    return first if len(listed) <= 2 else f"{first} ({len(listed)} days)"
