"""What is behind a row, whatever its columns: who, when, with which model, how it went.

Belongs here: hidden facts of rows that several columns tell in their own way, so that they agree:
the moment, agent, user, model, tokens, time taken, and whether it went well.
Does not belong here: a single column (`rules`), a single dataset (`special`).
"""

from typing import NamedTuple

import numpy as np

from lake_assets.catalog import ColumnType
from lake_assets.sample_data.frame import DAY_US, Frame
from lake_assets.sample_data.planted import Metric
from lake_assets.sample_data.rhythm import agent_hours, cumulative, falling_weights
from lake_assets.sample_data.values import MICRO, Floats, Ints, Mask, Values, coded
from lake_assets.sample_data.world import AGENT_IDS, AGENTS, ORG_IDS, USER_IDS, Model

FAILING = frozenset(
    {
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
    }
)
"""Words of a status that say that it went wrong."""

UNFINISHED = frozenset(
    {
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
    }
)
"""Words of a status that say that it is not over."""

UNUSUAL = frozenset(
    {
        "cancelled",
        "void",
        "paused",
        "skipped",
        "refunded",
        "archived",
        "reversed",
        "voicemail",
    }
)

STATUS_NAMES = ("status", "outcome", "step_status")
AGENT_NAMES = ("agent_id", "source_agent_id", "sender_agent_id")

HOUR_US = 3_600_000_000
SNAPSHOT_SPAN_DAYS = 390
_RECENT_DAYS = 12.0
_UNFINISHED_SHARE = 0.015
_UNFINISHED_SHARE_OF_STATE = 0.35
_UNUSUAL_SHARE = 0.03
_RETRY_SHARE = 0.05


class _Slots(NamedTuple):
    agent: Ints
    moment: Ints


def moment(frame: Frame) -> Ints:
    """When the row's watermark stands, in µs since the epoch."""
    return frame.memo("moment", _moment)


def _moment(frame: Frame) -> Ints:
    if frame.table.is_snapshot:
        ago = frame.rng("moment").exponential(_RECENT_DAYS, frame.rows)
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


def went_well(frame: Frame) -> Mask:
    """Whether what the row is about went well, by its agent's error rate and planted bursts."""
    return frame.memo("went well", _went_well)


def _went_well(frame: Frame) -> Mask:
    rate = habit_of(frame, "error_rate")
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
    if values is None or not set(values.words) & state:
        return otherwise
    return values.is_word(*state)


class Tokens(NamedTuple):
    """Tokens of a row: cached ones are part of the prompt, reasoning ones of the completion."""

    prompt: Ints
    completion: Ints
    cached: Ints
    reasoning: Ints


def tokens(frame: Frame) -> Tokens:
    """The tokens of the model calls behind each row."""
    return frame.memo("tokens", _tokens)


def _tokens(frame: Frame) -> Tokens:
    rng = frame.rng("tokens")
    size = habit_of(frame, "appetite")
    if frame.has("steps"):
        size = size * frame.values("steps").data
    prompt = rng.lognormal(6.8, 0.7, frame.rows) * size
    for mask, factor in frame.effects(Metric.TOKENS):
        prompt = np.where(mask, prompt * factor, prompt)
    completion = rng.lognormal(5.4, 0.7, frame.rows) * size
    completion = np.where(failed(frame) & (rng.random(frame.rows) < 0.6), 0, completion)
    cached = prompt * np.where(rng.random(frame.rows) < 0.3, rng.random(frame.rows) * 0.9, 0)
    reasoning = completion * np.where(rng.random(frame.rows) < 0.2, rng.random(frame.rows), 0)
    whole = [np.floor(part).astype(np.int64) for part in (prompt, completion, cached, reasoning)]
    return Tokens(*whole)


def token_cost(frame: Frame) -> Ints:
    """Their price by the model's price list, in micro-dollars."""
    models = models_of(frame)
    price_in = np.array([each.input_usd_per_mtok for each in models])[model(frame)]
    price_out = np.array([each.output_usd_per_mtok for each in models])[model(frame)]
    used = tokens(frame)
    # Dollars per million tokens are micro-dollars per token.
    return np.rint(used.prompt * price_in + used.completion * price_out).astype(np.int64)


def taken_us(frame: Frame) -> Ints:
    """How long it took, in µs: whole milliseconds, or whole seconds where those are stored."""
    return frame.memo("taken", _taken_us)


def _taken_us(frame: Frame) -> Ints:
    median_ms, spread = _usual_time_ms(frame)
    taken = frame.rng("taken").lognormal(np.log(median_ms), spread, frame.rows)
    taken = taken * habit_of(frame, "slowness")
    for mask, factor in frame.effects(Metric.LATENCY):
        taken = np.where(mask, taken * factor, taken)
    unit = MICRO if frame.has("duration_s") else 1_000
    return np.maximum(1, np.rint(taken * 1_000 / unit)).astype(np.int64) * unit


def _usual_time_ms(frame: Frame) -> tuple[Floats, float]:
    ones = np.ones(frame.rows)
    if frame.has("steps"):
        return ones * 9_000 * frame.values("steps").data, 0.5
    if frame.has("duration_s") or frame.table.dataset.watermark == "updated_at":
        return ones * 900_000, 0.8
    if frame.has("model", "latency_ms"):
        medians = np.array([float(each.latency_ms) for each in models_of(frame)])
        return medians[model(frame)], 0.5
    return ones * 240, 0.9
