"""Columns that say who or which: ids, keys, hashes.

Belongs here: rules for identities, from the name of the column.
Does not belong here: relations to other tables (`frame.Frame.carried`).
"""

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import actors
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.pools import entity_pool, prefix_of
from lake_assets.sample_data.rhythm import falling_weights
from lake_assets.sample_data.rules.match import rules
from lake_assets.sample_data.seeds import identities, mix64, seed_of
from lake_assets.sample_data.values import UUID_FORM, Form, Identities, Ints, Values, coded
from lake_assets.sample_data.world import AGENT_IDS, ORG_IDS, USER_IDS

_POOL = 200
_SESSIONS_PER_DAY = 3


def own_key(frame: Frame, column: Column) -> Values:
    """A different id for each row of the table."""
    ids = identities(
        frame.rows,
        frame.frames.spec.seed,
        frame.table.partition,
        column.name,
        frame.day,
        frame.part,
    )
    return Values(data=ids, form=form_of(column.name))


def form_of(name: str) -> Form:
    """How the ids of a column are spelled."""
    if name in {"id", "uuid"}:
        return UUID_FORM
    if name.endswith(("hash", "sha256")):
        return Form(digits=64)
    if name == "trace_id":
        return Form(digits=32)
    if "span_id" in name:
        return Form(digits=16)
    return Form(prefix=f"{prefix_of(name)}_")


def identity(frame: Frame, column: Column) -> Values:
    """An id column that is neither the table's own key nor a relation's."""
    name, own = column.name, frame.table.own_id
    pool = entity_pool(name)
    if own and own != "id" and name.endswith(f"_{own}"):
        return _earlier_row(frame, name, own)
    if pool is not None:
        return _of_world(frame, name, pool)
    if name in frame.table.dataset.key:
        return own_key(frame, column)
    return _RULES.make(frame, column)


def _of_world(frame: Frame, name: str, pool: tuple[str, ...]) -> Values:
    if pool is AGENT_IDS:
        return coded(_agents(frame, name), pool)
    if pool is USER_IDS:
        return coded(_users(frame, name), pool)
    return coded(actors.org(frame), pool) if pool is ORG_IDS else frame.words(name, pool)


def _earlier_row(frame: Frame, name: str, own: str) -> Values:
    """The id of an earlier row of the same frame, for a parent or the message replied to."""
    back = frame.rng(name).integers(1, 12, frame.rows)
    rows = np.arange(frame.rows) - back
    none = (rows < 0) | frame.chance(f"no {name}", 0.5)
    return frame.values(own).take(np.maximum(rows, 0)).where_null(none)


def _agents(frame: Frame, name: str) -> Ints:
    first = next((known for known in actors.AGENT_NAMES if frame.has(known)), name)
    if name == first:
        return actors.agent(frame)
    # Another agent than the first one: nobody talks to itself.
    step = frame.rng(name).integers(1, len(AGENT_IDS), frame.rows)
    return (actors.agent(frame) + step) % len(AGENT_IDS)


def _users(frame: Frame, name: str) -> Ints:
    if name == "user_id" or not frame.has("user_id"):
        return actors.user(frame)
    return frame.choose(name, falling_weights(len(USER_IDS), steepness=0.6))


def _session(frame: Frame, _column: Column) -> Values:
    """A visit of the user: few a day, the same in every table that tells of the visit."""
    visit = frame.rng("session").integers(0, _SESSIONS_PER_DAY, frame.rows)
    place = (actors.user(frame) * _SESSIONS_PER_DAY + visit).astype(np.uint64)
    return Values(data=_of_pool("session_id", place, frame.day), form=form_of("session_id"))


def _hash(frame: Frame, column: Column) -> Values:
    return _drawn(frame, column.name, 5_000)


def _thing(frame: Frame, column: Column) -> Values:
    return _drawn(frame, column.name, _POOL)


def _drawn(frame: Frame, name: str, size: int) -> Values:
    """One of `size` things, the same things in every table that has a column of this name."""
    place = frame.choose(name, falling_weights(size, steepness=0.5)).astype(np.uint64)
    return Values(data=_of_pool(name, place), form=form_of(name))


def _of_pool(name: str, place: Identities, *parts: object) -> Identities:
    return mix64(place + np.array([seed_of("pool", name, *parts)], dtype=np.uint64))


_RULES = rules(
    ("session_id", _session),
    (r".*(hash|sha256)", _hash),
    # One for each row: what is referred to once, or is known to another system.
    (r"(request|reference|event|resource|object)_id", own_key),
    (r".+_.+_id", own_key),
    otherwise=_thing,
)
