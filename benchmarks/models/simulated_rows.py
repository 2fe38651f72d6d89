"""Rows of a simulated fleet: what the three inputs of the alarms would hold, incidents included.

Belongs here: agents of realistic variety, their rows of every day, public holidays.
Does not belong here: which incidents there are (`incidents`), detecting them (`alarms`).

Agents run from a few to hundreds of times a day. Their counts are Poisson, wilder than that, nearly
constant, or zero on most days; they have a week, growth and a level that wanders. Durations,
latencies and tokens are log-normal, failures are overdispersed shares of 0 to 10 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from lake_assets.models.anomaly_measures import CALLS, REQUESTS, RUNS
from lake_assets.models.series import Floats

Rng = np.random.Generator

HABITS = ("poisson", "wild", "regular", "intermittent")
_HABIT_SHARES = (0.45, 0.3, 0.1, 0.15)
_STATUSES = np.array(["succeeded", "failed", "timed_out", "cancelled", "running"], dtype=object)
_CALL_STATUSES = np.array(["success", "error", "rate_limited", "timeout"], dtype=object)
_MODELS = np.array(["small-1", "large-1", "large-2"], dtype=object)


@dataclass(slots=True, kw_only=True)
class Effects:
    """What incidents change: agents by days, 1 or 0 where nothing happens."""

    volume: Floats
    """Factor of runs, and of what they cause."""
    calls: Floats
    requests: Floats
    tokens: Floats
    price: Floats
    latency: Floats
    duration: Floats
    slow_calls: Floats
    """Share of the calls that are 3.5 times slower."""
    hanging: Floats
    """Share of the runs that take 20 times as long."""
    failed: Floats
    """Added share of runs that fail."""
    timed_out: Floats
    refused: Floats
    """Added share of requests that are refused."""

    @classmethod
    def none(cls, agents: int, days: int) -> "Effects":
        """Nothing happens."""
        ones = ("volume", "calls", "requests", "tokens", "price", "latency", "duration")
        zeros = ("slow_calls", "hanging", "failed", "timed_out", "refused")
        made = {name: np.ones((agents, days)) for name in ones}
        return cls(**made, **{name: np.zeros((agents, days)) for name in zeros})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The agents of a seed: what each usually does on each day."""

    names: tuple[str, ...]
    habits: tuple[str, ...]
    rates: Floats
    """Expected runs, agents by days, before chance and incidents."""
    weekend: Floats
    """Share of a weekday's runs on days of the weekend."""
    error_rates: Floats
    first_day: date
    days: int
    holidays: tuple[int, ...]
    rng: Rng = field(repr=False)

    def weekday(self, day: int) -> int:
        """0 is Monday."""
        return (self.first_day + timedelta(days=day)).weekday()


def fleet(*, agents: int, last_day: date, days: int, holidays: Iterable[int], seed: int) -> Fleet:
    """The agents of a seed; `holidays` are places of days on which offices are closed."""
    rng = np.random.default_rng(seed)
    first_day = last_day - timedelta(days=days - 1)
    weekdays = (first_day.weekday() + np.arange(days)) % 7
    level = np.exp(rng.uniform(np.log(4.0), np.log(300.0), agents))
    weekend = np.where(rng.random(agents) < 0.35, 1.0, rng.uniform(0.05, 0.8, agents))
    week = np.ones((agents, 7)) * np.exp(rng.normal(0, 0.06, (agents, 7)))
    week[:, 5:] *= weekend[:, np.newaxis]
    growth = np.exp(rng.uniform(-0.004, 0.008, (agents, 1)) * (np.arange(days) - days))
    wander = np.exp(np.cumsum(rng.normal(0, 0.012, (agents, days)), axis=1))
    habits = tuple(str(each) for each in rng.choice(HABITS, agents, p=_HABIT_SHARES))
    regular = np.array([habit == "regular" for habit in habits])
    wander[regular], growth[regular] = 1.0, 1.0
    rates = level[:, np.newaxis] * week[:, weekdays] * growth * wander
    steady = np.where(weekdays >= 5, weekend[:, np.newaxis], 1.0) * level[:, np.newaxis]
    rates[regular] = steady[regular]
    off = rng.uniform(0.1, 1.0, agents)
    closed = tuple(holidays)
    for day in closed:
        rates[:, day] *= off
    return Fleet(
        names=tuple(f"agent-{number:02d}" for number in range(agents)),
        habits=habits,
        rates=rates,
        weekend=weekend,
        error_rates=rng.uniform(0.0, 0.1, agents),
        first_day=first_day,
        days=days,
        holidays=closed,
        rng=rng,
    )


def rows(fleet: Fleet, effects: Effects) -> dict[str, pa.Table]:
    """The rows of runs, model calls and gateway requests."""
    rng = fleet.rng
    agents = len(fleet.names)
    runs = _counts(fleet, fleet.rates * effects.volume)
    at = _places(runs)
    calls = _events(runs, rng.uniform(1.2, 5.0, (agents, 1)) * effects.calls, rng)
    requests = _events(runs, rng.uniform(0.8, 4.0, (agents, 1)) * effects.requests, rng)
    return {
        RUNS: _runs(fleet, effects, at),
        CALLS: _calls(fleet, effects, _places(calls)),
        REQUESTS: _requests(fleet, effects, _places(requests)),
    }


def _counts(fleet: Fleet, rates: Floats) -> Floats:
    rng = fleet.rng
    out = np.zeros_like(rates)
    for row, habit in enumerate(fleet.habits):
        rate = rates[row]
        if habit == "regular":
            out[row] = np.maximum(np.rint(rate + rng.integers(-1, 2, len(rate)) * (rate > 12)), 0)
            continue
        if habit == "wild":
            over = rng.uniform(0.1, 0.4)
            rate = rate * rng.gamma(over**-2, over**2, len(rate))
        if habit == "intermittent":
            rate = rate * (rng.random(len(rate)) < rng.uniform(0.3, 0.7))
        out[row] = rng.poisson(rate)
    return out


def _events(runs: Floats, each: Floats, rng: Rng) -> Floats:
    """What runs cause: overdispersed, since some runs need much more than others."""
    mean = runs * each
    return rng.poisson(mean * rng.gamma(400.0, 1 / 400.0, mean.shape)).astype(np.float64)


def _places(counts: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Agent and day of every row."""
    flat = np.repeat(np.arange(counts.size), counts.astype(np.int64).ravel())
    return np.divmod(flat, counts.shape[1])


def _runs(fleet: Fleet, effects: Effects, at: tuple[np.ndarray, np.ndarray]) -> pa.Table:
    rng, agents = fleet.rng, len(fleet.names)
    usual = fleet.error_rates[:, np.newaxis]
    size = rng.uniform(80, 300, (agents, 1))
    shape = (agents, fleet.days)
    share = rng.beta(usual * size + 1e-3, (1 - usual) * size, shape) + effects.failed
    late = share * rng.uniform(0.0, 0.5, (agents, 1))
    cuts = np.stack(
        [
            share - late,
            late + effects.timed_out,
            np.broadcast_to(rng.uniform(0.0, 0.03, (agents, 1)), shape),
            np.full(shape, 0.005),
        ]
    )
    drawn = rng.random(len(at[0]))
    ends = np.cumsum(cuts, axis=0)[:, at[0], at[1]]
    code = np.where(drawn < ends[3], 4, 0)
    for place in (2, 1, 0):
        code = np.where(drawn < ends[place], place + 1, code)
    logs = _logs(rng, at, effects.duration, level=(8.0, 11.0), spread=(0.5, 1.0))
    hangs = rng.random(len(drawn)) < effects.hanging[at]
    durations = np.exp(logs) * np.where(hangs, 20.0, 1.0)
    return _table(
        fleet,
        at,
        status=pa.array(_STATUSES[code], pa.string()),
        duration_ms=pa.array(np.rint(durations), pa.float64(), mask=code == 4).cast(pa.int64()),
    )


def _calls(fleet: Fleet, effects: Effects, at: tuple[np.ndarray, np.ndarray]) -> pa.Table:
    rng, agents = fleet.rng, len(fleet.names)
    shape = (agents, fleet.days)
    tokens = np.rint(
        np.exp(_logs(rng, at, effects.tokens, level=(6.3, 8.5), spread=(0.5, 1.0))) + 1
    )
    price = np.exp(rng.uniform(np.log(0.3), np.log(12.0), (agents, 1)))
    mixed = rng.random((agents, 1)) < 0.3
    second = np.where(mixed, rng.beta(8.0, 32.0, shape), 0.0)
    large = rng.random(len(at[0])) < second[at]
    each = np.broadcast_to(price, shape)[at] * np.where(large, 4.0, 1.0) * effects.price[at]
    each *= np.exp(rng.normal(0, 0.15, len(each)))
    logs = _logs(rng, at, effects.latency, level=(6.0, 8.5), spread=(0.4, 0.8))
    slow = rng.random(len(logs)) < effects.slow_calls[at]
    failing = rng.uniform(0, 0.03, agents)[at[0]]
    failed = rng.random(len(logs)) < failing
    return _table(
        fleet,
        at,
        status=pa.array(
            _CALL_STATUSES[np.where(failed, rng.integers(1, 4, len(logs)), 0)], pa.string()
        ),
        model=pa.array(
            _MODELS[np.where(effects.price[at] != 1.0, 2, large.astype(int))], pa.string()
        ),
        total_tokens=pa.array(tokens.astype(np.int64)),
        cost_usd=pa.array(np.round(tokens * each / 1e6, 6)),
        latency_ms=pa.array(np.rint(np.exp(logs) * np.where(slow, 3.5, 1.0)).astype(np.int64)),
    )


def _requests(fleet: Fleet, effects: Effects, at: tuple[np.ndarray, np.ndarray]) -> pa.Table:
    rng, agents = fleet.rng, len(fleet.names)
    usual, size = rng.uniform(0.0, 0.08, (agents, 1)), rng.uniform(80, 300, (agents, 1))
    share = rng.beta(usual * size + 1e-3, (1 - usual) * size, (agents, fleet.days))
    drawn = rng.random(len(at[0]))
    code = np.where(drawn < share[at], rng.choice([404, 500], len(drawn)), 200)
    code = np.where((drawn > 1.0 - effects.refused[at]) & (code == 200), 429, code)
    return _table(fleet, at, status_code=pa.array(code.astype(np.int64)))


def _logs(
    rng: Rng,
    at: tuple[np.ndarray, np.ndarray],
    factor: Floats,
    *,
    level: tuple[float, float],
    spread: tuple[float, float],
) -> Floats:
    """Logarithms of a log-normal figure per row, whose level wanders and varies by day."""
    agents, days = factor.shape
    middle = rng.uniform(*level, (agents, 1)) + np.cumsum(
        rng.normal(0, 0.008, (agents, days)), axis=1
    )
    middle = middle + rng.normal(0, 0.03, (agents, days)) + np.log(factor)
    width = rng.uniform(*spread, agents)
    return middle[at] + rng.normal(0, 1, len(at[0])) * width[at[0]]


def _table(fleet: Fleet, at: tuple[np.ndarray, np.ndarray], **columns: pa.Array) -> pa.Table:
    agent, day = at
    first = (fleet.first_day - date(1970, 1, 1)).days
    names = pa.DictionaryArray.from_arrays(pa.array(agent.astype(np.int32)), list(fleet.names))
    return pa.table(
        {
            "date": pa.array((first + day).astype(np.int32)).cast(pa.date32()),
            "agent_id": names.cast(pa.string()),
            **columns,
        }
    )
