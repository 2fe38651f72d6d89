"""Simulated agents whose days vary more than chance, with events at known places.

Belongs here: measures of a fleet from a seed, the events in them.
Does not belong here: detecting them (`alarms`).

Rows per day are overdispersed counts with a weekly rhythm, growth and a wandering level; tokens
are sums of log-normal calls; failures are overdispersed shares; latency wanders, too.
"""

from dataclasses import dataclass

import numpy as np

from lake_assets.models.anomaly_measures import Kind, Measure
from lake_assets.models.series import Floats

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that an agent's `metric` does from day `first` to `last`, by a factor or share."""

    agent: str
    metric: str
    first: int
    last: int
    size: float


_SIZES = {
    "runs": (0.0, 0.1, 3.0, 6.0),
    "tokens": (3.0, 5.0, 8.0),
    "error_rate": (0.4, 0.6, 0.8),
    "latency_ms": (1.8, 2.5, 4.0),
}
_LEAST_RUNS = 30.0
"""Events are planted in agents that run this often, so that a day of theirs tells something."""


def fleet(
    *, agents: int, days: int, planted: int, evaluated: int, seed: int
) -> tuple[list[Measure], list[Event]]:
    """The measures of a fleet, and the events planted in its last `evaluated` days."""
    rng = np.random.default_rng(seed)
    names = tuple(f"agent-{number:02d}" for number in range(agents))
    level = np.exp(rng.uniform(2.0, 6.0, agents))
    events = _events(names, level, days, planted, evaluated, rng)
    factors = {metric: np.ones((agents, days)) for metric in _SIZES}
    factors["error_rate"] = np.zeros((agents, days))
    for event in events:
        row = names.index(event.agent)
        factors[event.metric][row, event.first : event.last + 1] = event.size
    runs = rng.poisson(_rates(level, days, rng) * factors["runs"]).astype(np.float64)
    calls = np.rint(runs * rng.uniform(2, 8, (agents, 1)))
    tokens = _sums(calls, rng) * factors["tokens"]
    usual = rng.uniform(0.01, 0.12, (agents, 1))
    shares = rng.beta(usual * 60, (1 - usual) * 60, (agents, days))
    shares = np.where(factors["error_rate"] > 0, factors["error_rate"], shares)
    failures = rng.binomial(runs.astype(np.int64), shares).astype(np.float64)
    spread = rng.uniform(0.4, 0.9, agents)
    logs = rng.uniform(6, 8, (agents, 1)) + np.cumsum(rng.normal(0, 0.01, (agents, days)), axis=1)
    noise = rng.normal(0, 1, (agents, days)) * spread[:, np.newaxis]
    latency = np.exp(logs + noise / np.sqrt(np.maximum(calls, 1))) * factors["latency_ms"]
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(runs > 0, failures / runs, np.nan)
    made = (
        ("runs", Kind.AMOUNT, runs, runs),
        ("tokens", Kind.AMOUNT, tokens, calls),
        ("cost_usd", Kind.AMOUNT, tokens * rng.normal(2e-6, 1e-7, (agents, days)), calls),
        ("error_rate", Kind.RATE, rate, runs),
        ("latency_ms", Kind.TYPICAL, np.where(calls > 0, latency, np.nan), calls),
    )
    measures = [
        Measure(
            metric=metric,
            kind=kind,
            agents=names,
            values=values,
            trials=trials,
            present=np.ones(days, dtype=np.bool_),
            spread=spread,
        )
        for metric, kind, values, trials in made
    ]
    return measures, events


def _rates(level: Floats, days: int, rng: Rng) -> Floats:
    agents = len(level)
    week = np.concatenate((np.ones((agents, 5)), rng.uniform(0.1, 1.0, (agents, 2))), axis=1)
    rhythm = np.tile(week, (1, days // 7 + 1))[:, :days]
    growth = np.exp(rng.uniform(-0.005, 0.01, (agents, 1)) * np.arange(days))
    wander = np.exp(np.cumsum(rng.normal(0, 0.02, (agents, days)), axis=1))
    over = rng.uniform(0.05, 0.3, (agents, 1))
    return (
        level[:, np.newaxis] * rhythm * growth * wander * rng.gamma(over**-2, over**2, rhythm.shape)
    )


def _sums(calls: Floats, rng: Rng) -> Floats:
    """Sums of log-normal calls, by the normal law for many and exactly for few."""
    out = np.zeros_like(calls)
    for place in np.ndindex(*calls.shape):
        out[place] = rng.lognormal(6.8, 0.9, int(calls[place])).sum()
    return out


def _events(  # noqa: PLR0917
    names: tuple[str, ...], level: Floats, days: int, planted: int, evaluated: int, rng: Rng
) -> list[Event]:
    busy = [name for name, runs in zip(names, level, strict=True) if runs >= _LEAST_RUNS]
    chosen = rng.permutation(busy)[:planted]
    found: list[Event] = []
    for number, agent in enumerate(chosen):
        metric = tuple(_SIZES)[number % len(_SIZES)]
        first = int(rng.integers(days - evaluated, days - 1))
        found.append(
            Event(
                agent=str(agent),
                metric=metric,
                first=first,
                last=min(days - 1, first + int(rng.integers(0, 2))),
                size=float(rng.choice(_SIZES[metric])),
            )
        )
    return found


def until(measure: Measure, day: int, window: int) -> Measure:
    """What was known of a measure at the end of a day, of the last `window` days."""
    kept = slice(max(0, day + 1 - window), day + 1)
    return Measure(
        metric=measure.metric,
        kind=measure.kind,
        agents=measure.agents,
        values=measure.values[:, kept],
        trials=measure.trials[:, kept],
        present=measure.present[kept],
        spread=measure.spread,
    )
