"""Who is behind a row, and when: the moment, agent, user, organisation and model.

Belongs here: hidden facts of rows that several columns tell in their own way, so that they agree.
Does not belong here: how it went (`course`), what it used (`usage`), a single column (`rules`).
"""

from typing import NamedTuple

import numpy as np

from lake_assets.sample_data.frame import DAY_US, Frame
from lake_assets.sample_data.keys import step_us
from lake_assets.sample_data.rhythm import agent_hours, cumulative, falling_weights
from lake_assets.sample_data.values import Floats, Ints
from lake_assets.sample_data.world import AGENT_IDS, AGENTS, ORG_IDS, USER_IDS, Model

AGENT_NAMES = ("agent_id", "source_agent_id", "sender_agent_id")

HOUR_US = 3_600_000_000
SNAPSHOT_SPAN_DAYS = 390
_RECENT_DAYS = 12.0
_COMPUTED_DAYS = 0.2


class _Slots(NamedTuple):
    agent: Ints
    moment: Ints


def moment(frame: Frame) -> Ints:
    """When the row's watermark stands, in µs since the epoch."""
    return frame.memo("moment", _moment)


def _moment(frame: Frame) -> Ints:
    if frame.frames.key_plan(frame.table).numbered == frame.table.dataset.watermark:
        return frame.day_us + frame.positions * step_us(frame)
    if frame.table.is_snapshot:
        # Rows without a creation are computed anew again and again; the others change rarely.
        mean = _RECENT_DAYS if frame.has("created_at") else _COMPUTED_DAYS
        ago = frame.rng("moment").exponential(mean, frame.rows)
        ago = np.minimum(ago, SNAPSHOT_SPAN_DAYS)
        return (frame.day_us + DAY_US - 1 - ago * DAY_US).astype(np.int64)
    relative = frame.relative()
    if relative is None or relative[0].table.is_snapshot:
        return _slots(frame).moment
    base = moment(relative[0])[relative[1]]
    left = frame.day_us + DAY_US - 1 - base
    later = frame.rng("moment").exponential(40_000_000.0, frame.rows)
    # What follows near midnight is squeezed into the rest of the day, and keeps its order.
    return base + (left * -np.expm1(-later / np.maximum(left, 1))).astype(np.int64)


def _has_slots(frame: Frame) -> bool:
    """Whether the moment is drawn from agents' hours, and not from that of another row."""
    relative = frame.relative()
    return relative is None or relative[0].table.is_snapshot


def _slots(frame: Frame) -> _Slots:
    return frame.memo("slots", _draw_slots)


def _draw_slots(frame: Frame) -> _Slots:
    weights = agent_hours(frame.table, frame.frames.spec, frame.day)
    rng = frame.rng("slots")
    cell = np.searchsorted(cumulative(weights), rng.random(frame.rows), side="right")
    # At most 23.99… hours: the last hour's share of 1 must not round up to the next day.
    within = rng.integers(0, HOUR_US, frame.rows)
    at = frame.day_us + (cell % 24) * HOUR_US + within
    order = np.argsort(at, kind="stable")
    return _Slots(agent=(cell // 24)[order].astype(np.int64), moment=at[order].astype(np.int64))


def agent(frame: Frame) -> Ints:
    """The agent behind each row, as its place in `AGENTS`."""
    return frame.memo("agent", _agent)


def _agent(frame: Frame) -> Ints:
    for name in AGENT_NAMES:
        carried = frame.carried(name) if frame.has(name) else None
        if carried is not None and carried.words == AGENT_IDS:
            return carried.data.astype(np.int64)
    if frame.table.is_snapshot:
        return frame.choose("agent", [habit.share for habit in AGENTS])
    if _has_slots(frame):
        return _slots(frame).agent
    return frame.choose("agent", agent_hours(frame.table, frame.frames.spec, frame.day).sum(axis=1))


def habit_of(frame: Frame, name: str) -> Floats:
    """A numeric habit of each row's agent."""
    habits = np.array([float(getattr(habit, name)) for habit in AGENTS])
    return habits[agent(frame)]


def user(frame: Frame) -> Ints:
    """The user behind each row, as its place in `USER_IDS`."""
    return frame.memo("user", _user)


def _user(frame: Frame) -> Ints:
    carried = frame.carried("user_id") if frame.has("user_id") else None
    if carried is not None and carried.words == USER_IDS:
        return carried.data.astype(np.int64)
    return frame.choose("user", falling_weights(len(USER_IDS), steepness=0.6))


def org(frame: Frame) -> Ints:
    """The organisation of each row's user, as its place in `ORG_IDS`."""
    return org_of_user(user(frame))


def org_of_user(users: Ints) -> Ints:
    """The organisation that users belong to: the first ones have most users."""
    return (users * users % 97) % len(ORG_IDS)


def models_of(frame: Frame) -> tuple[Model, ...]:
    """The models that the dataset is about."""
    return frame.table.profile.models


def model(frame: Frame) -> Ints:
    """The model behind each row, as its place in `models_of(frame)`."""
    return frame.memo("model", _model)


def _model(frame: Frame) -> Ints:
    models = models_of(frame)
    names = tuple(each.name for each in models)
    carried = frame.carried("model") if frame.has("model") else None
    if carried is not None and carried.words == names:
        return carried.data.astype(np.int64)
    usual = falling_weights(len(models))
    rows = np.stack([_taste(habit.models, names, usual) for habit in AGENTS])
    drawn = frame.rng("model").random(frame.rows)
    return (rows[agent(frame)] <= drawn[:, np.newaxis]).sum(axis=1).astype(np.int64)


def _taste(favourites: tuple[str, ...], names: tuple[str, ...], usual: Floats) -> Floats:
    liked = np.array([usual.sum() * 3 if name in favourites else 0.0 for name in names])
    # One bound fewer than models, so that a draw of nearly 1 can't count past the last one.
    return cumulative(usual + liked)[:-1]
