"""Verdicts on a day that was just written: what a declaration promises, and what past days were.

Belongs here: which checks there are, whom they concern, when a day fails one.
Does not belong here: telling Dagster (`checks`), measuring rows (`lake_assets.storage`).

Checks of the declaration block: a day that fails one is no input of derived datasets until it is
written again (`derive`). The others warn. Nothing is read again for them but the footer of the
object, the facts that lie beside it, and columns that refer to another dataset.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_assets.catalog import (
    Dataset,
    ExternalSource,
    Kind,
    PostgresSource,
    Reference,
    data_key,
)
from lake_assets.catalog.layout import key_of_day
from lake_assets.sources.fitting import UNFIT_VALUES
from lake_assets.storage.day_facts import DayFacts
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import WrittenPartition

COMPARED_DAYS = 8
"""At most so many days of the past are compared with: the same weekday of eight weeks."""

MIN_COMPARED_DAYS = 4
"""With fewer, nothing is said about the past."""

MIN_ROWS = 50
"""Shares of fewer rows say nothing."""

ROWS_WITHOUT_DAY = "rows_without_day"
LATE_ROWS = "late_rows"

_MAD_TO_SIGMA = 1.4826
_SIGMAS = 6.0
_NULL_SHARE_STEP = 0.2
_FAILURE_SHARE_STEP = 0.05
_CHANCE_SIGMAS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A written day, with what a verdict may look at; `said` is what its reader found, by check."""

    written: WrittenPartition
    history: Mapping[date, DayFacts]
    store: LakeStore
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCheck:
    """One check: its name, its sentence, whom it concerns, and when a day fails it."""

    name: str
    sentence: str
    blocks: bool
    applies: Callable[[Dataset], bool]
    fails: Callable[[Judged], str | None]


def _schema(day: Judged) -> str | None:
    dataset = day.written.dataset
    with day.store.open(data_key(dataset, day.written.day)) as file:
        stored = pq.read_schema(file).remove_metadata()
    if stored.equals(arrow_schema(dataset).remove_metadata()):
        return None
    return "the stored columns differ from the declaration"


def _not_empty(day: Judged) -> str | None:
    return None if day.written.rows else "no rows"


def _watermark(day: Judged) -> str | None:
    written = day.written
    low, high = _utc_day(written.watermark_min), _utc_day(written.watermark_max)
    if low is None or high is None or low == high == written.day:
        return None
    return f"watermarks from {low} to {high}"


def _unique_key(day: Judged) -> str | None:
    if not day.written.duplicate_keys:
        return None
    return f"{day.written.duplicate_keys:,} rows repeat a key"


def _accepted_values(day: Judged) -> str | None:
    return _listed(
        f"`{name}` has {count:,} values outside of its list"
        for name, count in day.written.unexpected.items()
    )


def _row_count(day: Judged) -> str | None:
    past = [facts.rows for facts in _same_weekday(day)]
    if len(past) < MIN_COMPARED_DAYS:
        return None
    usual, spread = _usual(past)
    # Half of the usual, or what chance does to small counts: nothing smaller is worth a word.
    within = max(spread, 0.5 * usual, 5 * sqrt(usual))
    if abs(day.written.rows - usual) <= within:
        return None
    return (
        f"{day.written.rows:,} rows, where {usual:,.0f} are usual on this weekday "
        f"(from {max(0.0, usual - within):,.0f} to {usual + within:,.0f})"
    )


def _null_rate(day: Judged) -> str | None:
    written = day.written
    past = [facts for facts in _past(day, step_d=1) if facts.rows >= MIN_ROWS]
    if written.rows < MIN_ROWS or len(past) < MIN_COMPARED_DAYS:
        return None
    return _listed(_null_faults(written, past))


def _null_faults(written: WrittenPartition, past: Sequence[DayFacts]) -> Iterator[str]:
    for name, count in written.nulls.items():
        usual, spread = _usual([facts.nulls.get(name, 0) / facts.rows for facts in past])
        share = count / written.rows
        # Fewer nulls than usual are no fault.
        if share - usual > max(spread, _NULL_SHARE_STEP):
            yield f"`{name}` is null in {share:.0%} of rows, where {usual:.0%} are usual"


def _failure_rate(day: Judged) -> str | None:
    written = day.written
    if written.failures is None:
        return None
    return unusual_failures(written.failures, written.rows, _past(day, step_d=1))


def unusual_failures(failures: int, rows: int, past: Sequence[DayFacts]) -> str | None:
    """What to say of a day with so many failures among its rows, after these days; None if nothing.

    Fewer failures than usual are no fault, and few rows or few days say nothing.
    """
    shares = [
        facts.failures / facts.rows
        for facts in past
        if facts.failures is not None and facts.rows >= MIN_ROWS
    ]
    if rows < MIN_ROWS or len(shares) < MIN_COMPARED_DAYS:
        return None
    usual, spread = _usual(shares)
    share = failures / rows
    # What chance does to a share of so few rows, also where no failure is usual.
    chance = _CHANCE_SIGMAS * sqrt((usual * (1 - usual) + 1 / rows) / rows)
    if share - usual <= max(spread, chance, _FAILURE_SHARE_STEP):
        return None
    return f"{share:.0%} of rows tell of a failure, where {usual:.0%} are usual"


def _references(day: Judged) -> str | None:
    return _listed(
        fault
        for reference in day.written.dataset.references
        if (fault := _reference_fault(day, reference))
    )


def _reference_fault(day: Judged, reference: Reference) -> str | None:
    own = data_key(day.written.dataset, day.written.day)
    other = key_of_day(reference.partition, day.written.day)
    try:
        known = _column(day.store, other, reference.to_column)
    except FileNotFoundError:
        # That day of the other dataset is not there (yet): nothing to compare with.
        return None
    values = _column(day.store, own, reference.column).drop_null()
    found = pc.call_function("is_in", [values], pc.SetLookupOptions(value_set=known))
    strays = len(values) - pc.call_function("sum", [found], None).as_py() if len(values) else 0
    if not strays:
        return None
    # Told in answers, also to those who may not know what the other dataset is called.
    return f"{strays:,} values of `{reference.column}` are not in the dataset that it refers to"


def _column(store: LakeStore, key: str, name: str) -> pa.Array:
    with store.open(key) as file:
        return pq.read_table(file, columns=[name])[name].combine_chunks()


def _same_weekday(day: Judged) -> Sequence[DayFacts]:
    # The full state of a day has no weekday.
    return _past(day, step_d=1 if day.written.dataset.kind is Kind.SNAPSHOT else 7)


def _past(day: Judged, *, step_d: int) -> Sequence[DayFacts]:
    days = (day.written.day - timedelta(days=step_d * back) for back in range(1, COMPARED_DAYS + 1))
    return [day.history[each] for each in days if each in day.history]


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """The median, and how far from it a value may be: robust to a few odd days."""
    usual = median(values)
    return usual, _SIGMAS * _MAD_TO_SIGMA * median(abs(value - usual) for value in values)


def _listed(faults: Iterator[str]) -> str | None:
    return "; ".join(faults) or None


def _utc_day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).date()
    return value if isinstance(value, date) else None


def _is_exported(dataset: Dataset) -> bool:
    return isinstance(dataset.source, PostgresSource)


def _is_read(dataset: Dataset) -> bool:
    return isinstance(dataset.source, PostgresSource | ExternalSource)


def _is_exported_by_day(dataset: Dataset) -> bool:
    return dataset.kind is Kind.EVENT and _is_exported(dataset)


def _is_counted(dataset: Dataset) -> bool:
    # Derived and outside datasets have as many rows as there is to say, which is no rhythm.
    return dataset.kind in {Kind.EVENT, Kind.SNAPSHOT}


CHECKS = (
    DeclaredCheck(
        name="schema",
        sentence="The stored object has exactly the declared columns and types.",
        blocks=True,
        applies=lambda _: True,
        fails=_schema,
    ),
    DeclaredCheck(
        name="not_empty",
        sentence="The day has rows.",
        blocks=True,
        applies=lambda dataset: dataset.expect_rows,
        fails=_not_empty,
    ),
    DeclaredCheck(
        name="watermark_in_day",
        sentence="Every watermark lies within the partition's UTC day.",
        blocks=True,
        applies=lambda dataset: dataset.kind is Kind.EVENT,
        fails=_watermark,
    ),
    DeclaredCheck(
        name="unique_key",
        sentence="No two rows of the day share the declared key.",
        blocks=True,
        applies=lambda dataset: bool(dataset.key),
        fails=_unique_key,
    ),
    DeclaredCheck(
        name="accepted_values",
        sentence="Columns with a list of accepted values have no other ones.",
        blocks=False,
        applies=lambda dataset: any(column.values for column in dataset.columns),
        fails=_accepted_values,
    ),
    DeclaredCheck(
        name="references",
        sentence="Columns that refer to another dataset only have values that it has that day.",
        blocks=False,
        applies=lambda dataset: bool(dataset.references),
        fails=_references,
    ),
    DeclaredCheck(
        name="null_rate",
        sentence="No column is null much more often than in the days before.",
        blocks=False,
        applies=lambda dataset: any(not column.required for column in dataset.columns),
        fails=_null_rate,
    ),
    DeclaredCheck(
        name="failure_rate",
        sentence="Not many more rows tell of a failure than in the days before.",
        blocks=False,
        applies=lambda dataset: dataset.failures is not None,
        fails=_failure_rate,
    ),
    DeclaredCheck(
        name="row_count",
        sentence="The day has about as many rows as the same weekday of the weeks before.",
        blocks=False,
        applies=_is_counted,
        fails=_row_count,
    ),
    DeclaredCheck(
        name=UNFIT_VALUES,
        sentence="No value became null because its declared type can't hold it.",
        blocks=False,
        applies=_is_read,
        fails=lambda day: day.said.get(UNFIT_VALUES),
    ),
    DeclaredCheck(
        name=ROWS_WITHOUT_DAY,
        sentence="Every row of the table has a watermark that some day has or will have.",
        blocks=False,
        applies=_is_exported_by_day,
        fails=lambda day: day.said.get(ROWS_WITHOUT_DAY),
    ),
    DeclaredCheck(
        name=LATE_ROWS,
        sentence="The table has no more rows of recent days than the lake: compared once a week.",
        blocks=False,
        applies=_is_exported_by_day,
        # A day that was just written has all rows; `late_rows` finds those that came later.
        fails=lambda _: None,
    ),
)


def checks_of(dataset: Dataset) -> Sequence[DeclaredCheck]:
    """The checks that a dataset's declaration asks for."""
    return [check for check in CHECKS if check.applies(dataset)]


def judge(
    written: WrittenPartition,
    *,
    history: Mapping[date, DayFacts],
    store: LakeStore,
    said: Mapping[str, str] | None = None,
) -> DayFacts:
    """The facts of a written day: its measures, and what failed.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    day = Judged(written=written, history=history, store=store, said=said or {})
    found = {check: check.fails(day) for check in checks_of(written.dataset)}
    failed = {check: reason for check, reason in found.items() if reason}
    return DayFacts(
        etag=written.etag,
        rows=written.rows,
        nulls=dict(written.nulls),
        failures=written.failures,
        failed={check.name: reason for check, reason in failed.items()},
        blocks=any(check.blocks for check in failed),
    )
