"""How it went: whether a row tells of a success, a failure, or of what is not over.

Belongs here: outcomes, so that status, codes, messages and end times of a row agree.
Does not belong here: who and when (`actors`), a single column (`rules`).
"""

from typing import NamedTuple

import numpy as np

from lake_assets.catalog import ColumnType
from lake_assets.sample_data import actors
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.planted import Metric
from lake_assets.sample_data.values import Ints, Mask, Values, coded

FAILING = frozenset(
    (
        "failed",
        "failure",
        "error",
        "timeout",
        "timed_out",
        "rate_limited",
        "rejected",
        "denied",
        "bounced",
        "killed",
        "undelivered",
        "expired",
        "terminated",
        "degraded",
        "no_answer",
        "busy",
    )
)
"""Words of a status that say that it went wrong."""

UNFINISHED = frozenset(
    (
        "running",
        "pending",
        "queued",
        "processing",
        "in_progress",
        "active",
        "open",
        "scheduled",
        "live",
        "draft",
        "sent",
        "partial",
        "idle",
        "provisioning",
        "blocked",
        "todo",
        "in_review",
        "unset",
    )
)
"""Words of a status that say that it is not over."""

UNUSUAL = frozenset(
    (
        "cancelled",
        "void",
        "paused",
        "skipped",
        "refunded",
        "archived",
        "reversed",
        "voicemail",
    )
)

STATUS_NAMES = ("status", "outcome", "step_status")

_UNFINISHED_SHARE = 0.015
_UNFINISHED_SHARE_OF_STATE = 0.35
_UNUSUAL_SHARE = 0.03
_RETRY_SHARE = 0.05


def went_well(frame: Frame) -> Mask:
    """Whether what the row is about went well, by its agent's error rate and planted bursts."""
    return frame.memo("went well", _went_well)


def _went_well(frame: Frame) -> Mask:
    relative = frame.relative()
    if relative is not None and frame.table.profile.one_each:
        return ~failed(relative[0])[relative[1]]
    rate = actors.habit_of(frame, "error_rate")
    for mask, factor in frame.effects(Metric.ERRORS):
        rate = np.where(mask, factor, rate)
    well = ~frame.chance("went well", rate)
    # What was tried once more had failed.
    return well & ~attempts(frame).retried if "attempt" in frame.table.dataset.key else well


class Attempts(NamedTuple):
    """For rows that are attempts: the row of the first one, which one it is, if one follows."""

    first: Ints
    number: Ints
    retried: Mask


def attempts(frame: Frame) -> Attempts:
    """Which rows are further attempts at what the row before them tried."""
    return frame.memo("attempts", _attempts)


def _attempts(frame: Frame) -> Attempts:
    again = frame.chance("again", _RETRY_SHARE)
    again[:1] = False
    places = np.arange(frame.rows, dtype=np.int64)
    first = np.maximum.accumulate(np.where(again, 0, places)) if frame.rows else places
    return Attempts(first=first, number=places - first + 1, retried=np.append(again[1:], False))


def status(frame: Frame, name: str, words: tuple[str, ...]) -> Values:
    """A status column: failing words where it went wrong, the others by how usual they are."""
    share_open = _UNFINISHED_SHARE_OF_STATE if frame.table.is_snapshot else _UNFINISHED_SHARE
    if frame.table.dataset.watermark == "updated_at":
        share_open = max(share_open, 0.15)
    groups = {word: _group(word) for word in words}
    present = set(groups.values())
    weights = {"done": 1.0, "open": share_open if "done" in present else 1.0}
    fine = [
        0.0
        if groups[word] == "failing"
        else _UNUSUAL_SHARE
        if groups[word] == "unusual"
        else weights[groups[word]] / (1 + _place(words, word, groups))
        for word in words
    ]
    wrong = [
        1.0 / (1 + place) if groups[word] == "failing" else 0.0 for place, word in enumerate(words)
    ]
    chosen = frame.choose(f"{name} fine", fine if sum(fine) else wrong)
    if sum(wrong) and sum(fine):
        chosen = np.where(went_well(frame), chosen, frame.choose(f"{name} wrong", wrong))
    return coded(chosen, words)


def _group(word: str) -> str:
    for group, words in (("failing", FAILING), ("open", UNFINISHED), ("unusual", UNUSUAL)):
        if word in words:
            return group
    return "done"


def _place(words: tuple[str, ...], word: str, groups: dict[str, str]) -> int:
    return [other for other in words if groups[other] == groups[word]].index(word)


def status_column(frame: Frame) -> str | None:
    """The column that says how it went, where there is one."""
    for name in STATUS_NAMES:
        if frame.has(name) and frame.table.dataset.column(name).type is ColumnType.STRING:
            return name
    return None


def failed(frame: Frame) -> Mask:
    """Whether the row tells of a failure."""
    return frame.memo("failed", lambda each: _in_state(each, FAILING, ~went_well(each)))


def unfinished(frame: Frame) -> Mask:
    """Whether what the row tells of is not over."""
    nothing = np.zeros(frame.rows, dtype=np.bool_)
    return frame.memo("unfinished", lambda each: _in_state(each, UNFINISHED, nothing))


def _in_state(frame: Frame, state: frozenset[str], otherwise: Mask) -> Mask:
    name = status_column(frame)
    values = frame.values(name) if name else None
    return otherwise if values is None else values.is_word(*state)
