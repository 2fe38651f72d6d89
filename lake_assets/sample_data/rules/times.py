"""Columns that say when: every timestamp and date of a row fits the others.

Belongs here: rules for timestamps and dates, from the name of the column.
Does not belong here: the row's moment itself (`actors.moment`).
"""

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import actors, course, usage
from lake_assets.sample_data.conditions import is_conditional
from lake_assets.sample_data.frame import DAY_US, Frame
from lake_assets.sample_data.rules.match import rules
from lake_assets.sample_data.values import MICRO, Ints, Values, plain

_STEPS = ("sent_at", "delivered_at", "opened_at", "clicked_at")
_STEPS_SHARES = (1.0, 0.93, 0.4, 0.15)
_STEP_US = (1.5 * MICRO, 4.0 * MICRO, 1_500.0 * MICRO, 60.0 * MICRO)
_JITTER_US = 800_000


def is_by_update(frame: Frame) -> bool:
    """Whether the row's moment is its last change, and its creation lies before that."""
    return frame.table.dataset.watermark != "created_at" and frame.has("created_at")


def started(frame: Frame) -> Ints:
    """When what the row tells of began."""
    return frame.memo("started", _started)


def _started(frame: Frame) -> Ints:
    if is_by_update(frame):
        return actors.moment(frame) - _jitter(frame) - usage.taken_us(frame)
    return actors.moment(frame) - _jitter(frame)


def ended(frame: Frame) -> Ints:
    """When it was over."""
    return started(frame) + usage.taken_us(frame)


def _jitter(frame: Frame) -> Ints:
    return frame.rng("jitter").integers(0, _JITTER_US, frame.rows)


def timestamp(frame: Frame, column: Column) -> Values:
    """A timestamp column."""
    if column.name == frame.table.dataset.watermark:
        return plain(actors.moment(frame))
    return _TIMESTAMPS.make(frame, column)


def _started_at(frame: Frame, _column: Column) -> Values:
    return plain(started(frame))


def _ended_at(frame: Frame, _column: Column) -> Values:
    return plain(ended(frame)).where_null(course.unfinished(frame))


def _ended_well_at(frame: Frame, column: Column) -> Values:
    return _ended_at(frame, column).where_null(course.failed(frame))


def _ahead(frame: Frame, column: Column) -> Values:
    ahead = frame.rng(column.name).exponential(5.0 * DAY_US, frame.rows)
    return plain(actors.moment(frame) + ahead.astype(np.int64) + MICRO)


def _behind(frame: Frame, column: Column) -> Values:
    behind = frame.rng(column.name).exponential(0.1 * DAY_US, frame.rows)
    return plain(started(frame) - behind.astype(np.int64))


def _long_behind(frame: Frame, column: Column) -> Values:
    behind = frame.rng(column.name).exponential(40.0 * DAY_US, frame.rows)
    return plain(started(frame) - behind.astype(np.int64))


def _created_at(frame: Frame, _column: Column) -> Values:
    earlier = frame.rng("created_at").exponential(1.0, frame.rows)
    mean = 40.0 * DAY_US if frame.table.is_snapshot else 90.0 * MICRO
    # A state's rows may be old, but not older than the sample's history.
    earlier = np.minimum(earlier * mean, 700.0 * DAY_US)
    return plain(started(frame) - earlier.astype(np.int64))


def _window(frame: Frame, column: Column) -> Values:
    """The full hour before."""
    end = actors.moment(frame) // actors.HOUR_US * actors.HOUR_US
    return plain(end if column.name.endswith("_end") else end - actors.HOUR_US)


def _step(frame: Frame, column: Column) -> Values:
    """One of the steps of a delivery: each one after the last, and not all get that far."""
    name, at = column.name, actors.moment(frame)
    if is_conditional(frame, name):
        # The status says how far it got.
        return plain(at + _passed_us(frame, name))
    missing = np.zeros(frame.rows, dtype=np.bool_)
    for step, share in zip(_STEPS, _STEPS_SHARES, strict=True):
        missing = missing | ~frame.chance(f"reaches {step}", share)
        if step != "sent_at":
            missing = missing | course.failed(frame)
        if step == name:
            break
    return plain(at + _passed_us(frame, name), missing | course.unfinished(frame))


def _passed_us(frame: Frame, name: str) -> Ints:
    passed = np.zeros(frame.rows, dtype=np.int64)
    for step, mean in zip(_STEPS, _STEP_US, strict=True):
        passed = passed + frame.rng(f"step {step}").exponential(mean, frame.rows).astype(np.int64)
        passed = passed + 1_000
        if step == name:
            break
    return passed


def day(frame: Frame, column: Column) -> Values:
    """A date column."""
    if column.name == frame.table.dataset.watermark:
        return _on_day(frame, column)
    return _DATES.make(frame, column)


def _today(frame: Frame) -> Ints:
    return actors.moment(frame) // DAY_US


def _on_day(frame: Frame, _column: Column) -> Values:
    return plain(_today(frame))


def _period(frame: Frame, column: Column) -> Values:
    """The first or the last day of the month."""
    month = _today(frame).astype("datetime64[D]").astype("datetime64[M]")
    is_end = column.name.endswith("_end")
    first = (month + int(is_end)).astype("datetime64[D]").astype(np.int64)
    return plain(first - int(is_end))


def _later_day(frame: Frame, column: Column) -> Values:
    return plain(_today(frame) + frame.rng(column.name).integers(1, 60, frame.rows))


def _earlier_day(frame: Frame, column: Column) -> Values:
    return plain(_today(frame) - frame.rng(column.name).integers(0, 60, frame.rows))


_LATER = r"(due|next|reset|expire|expected|valid_to|until|renew).*"
_START = r"(start|began|initiated|answered).*|.*_start(_.*)?"
_END = r"(finish|end|clos|stop|resolved).*|.*_end(_.*)?"

_TIMESTAMPS = rules(
    ("created_at", _created_at),
    (r"(window|period)_(start|end)", _window),
    ("|".join(_STEPS), _step),
    (_LATER, _ahead),
    (r"(complet|paid|received).*", _ended_well_at),
    (_END, _ended_at),
    (_START, _started_at),
    (r"(last_|scheduled).*", _behind),
    (r"(published|first_|valid_from).*", _long_behind),
    otherwise=_started_at,
)

_DATES = rules(
    (r"period_(start|end)", _period),
    (f"{_LATER}|{_END}", _later_day),
    (_START, _earlier_day),
    otherwise=_on_day,
)
