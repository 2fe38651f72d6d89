"""Simulated daily series of many shapes, which the models were not made for one by one.

Belongs here: series by kind, from a seed; sources of the groups that public series have few of.
Does not belong here: agents and their events (`simulated_agents`).
"""

from collections.abc import Callable, Mapping
from datetime import date

import numpy as np

from benchmarks.models.unseen import LONGEST, TRAIN, Part, Source
from lake_assets.models.series import Floats

Rng = np.random.Generator
Shape = Callable[[Floats, Rng], Floats]


def _level(mean: Floats, rng: Rng) -> Floats:  # noqa: ARG001 - shapes share a signature
    return mean


def _linear(mean: Floats, rng: Rng) -> Floats:
    return mean * (1 + rng.uniform(-0.003, 0.01) * np.arange(len(mean)))


def _growing(mean: Floats, rng: Rng) -> Floats:
    return mean * np.exp(rng.uniform(0.003, 0.02) * np.arange(len(mean)))


def _declining(mean: Floats, rng: Rng) -> Floats:
    return mean * np.exp(-rng.uniform(0.003, 0.015) * np.arange(len(mean)))


def _level_shift(mean: Floats, rng: Rng) -> Floats:
    days = np.arange(len(mean))
    for _ in range(rng.integers(1, 3)):
        at = rng.integers(len(mean) // 4, len(mean) - 17)
        mean = mean * np.where(days >= at, rng.uniform(0.4, 2.5), 1.0)
    return mean


def _random_walk(mean: Floats, rng: Rng) -> Floats:
    return mean * np.exp(np.cumsum(rng.normal(0, 0.05, len(mean))))


def _new_rhythm(mean: Floats, rng: Rng) -> Floats:  # noqa: ARG001
    return np.where(np.arange(len(mean)) < len(mean) // 2, mean, np.roll(mean, 3))


def _monthly_wave(mean: Floats, rng: Rng) -> Floats:
    wave = np.sin(2 * np.pi * np.arange(len(mean)) / 30.4 + rng.uniform(0, 6))
    return mean * (1 + 0.4 * wave)


def _small(mean: Floats, rng: Rng) -> Floats:
    return mean / mean.mean() * rng.uniform(0.5, 4)


_SHAPES: Mapping[str, Shape] = {
    "level": _level,
    "linear trend": _linear,
    "growing": _growing,
    "declining": _declining,
    "level shift": _level_shift,
    "random walk": _random_walk,
    "new weekly rhythm": _new_rhythm,
    "monthly wave": _monthly_wave,
    "small counts": _small,
    "spikes": _level,
    "days off": _level,
    "intermittent": _level,
    "log-normal noise": _level,
}
KINDS = tuple(_SHAPES)


def series(kind: str, days: int, rng: Rng) -> Floats:
    """One series of a kind."""
    week = np.array([1, 1.04, 1.03, 1, 0.92, rng.uniform(0.2, 1), rng.uniform(0.2, 1)])
    rhythm = np.resize(np.roll(week, rng.integers(7)), days)
    mean = _SHAPES[kind](np.exp(rng.uniform(2.5, 7)) * rhythm, rng)
    if kind == "intermittent":
        active = rng.random(days) < rng.uniform(0.1, 0.5)
        return (rng.poisson(mean / 50 + 1) * active).astype(np.float64)
    if kind == "log-normal noise":
        return mean * np.exp(rng.normal(0, rng.uniform(0.1, 0.6), days))
    overdispersion = rng.uniform(0.02, 0.25)
    rate = mean * rng.gamma(overdispersion**-2, overdispersion**2, days)
    values = rng.poisson(rate).astype(np.float64)
    if kind == "spikes":
        spike = rng.random(days) < 0.05
        values = np.where(spike, values * rng.choice([0, 3, 6, 10], days), values)
    if kind == "days off":
        values[rng.integers(5, days, 4)] *= 0.2
    return values


_SEEDS: Mapping[Part, int] = {"choosing": 23, "judging": 9_001}
"""Of the sources below; the judging part is other series of the same kinds."""
_SOURCE_DAYS = TRAIN + LONGEST + 42


def _agent(rng: Rng, days: int, trend: float = 0.0, low: float = 2.5) -> Floats:
    """Counts of an agent that works less at weekends, with more variance than chance has."""
    week = np.array([1, 1.05, 1.03, 1, 0.95, rng.uniform(0.1, 1), rng.uniform(0.1, 1)])
    rhythm = np.resize(np.roll(week, rng.integers(7)), days)
    mean = np.exp(rng.uniform(low, 5) + trend * np.arange(days)) * rhythm
    spread = rng.uniform(0.05, 0.35)
    return rng.poisson(mean * rng.gamma(spread**-2, spread**2, days)).astype(np.float64)


def _dense(rng: Rng) -> Floats:
    return _agent(rng, _SOURCE_DAYS, rng.uniform(-0.003, 0.003))


def _sparse(rng: Rng) -> Floats:
    """Some are small every day, some work on few days and then much."""
    if rng.random() < 0.4:
        return rng.poisson(rng.uniform(0.3, 1.5), _SOURCE_DAYS).astype(np.float64)
    active = rng.random(_SOURCE_DAYS) < rng.uniform(0.2, 0.7)
    return _agent(rng, _SOURCE_DAYS, low=1.0) * active


def _credited(rng: Rng) -> Floats:
    """Costs; every few weeks a credit of some days' cost."""
    credit = (rng.random(_SOURCE_DAYS) < rng.uniform(0.02, 0.08)) * rng.uniform(
        0.5, 4, _SOURCE_DAYS
    )
    cost = _agent(rng, _SOURCE_DAYS) * rng.uniform(0.05, 2)
    return cost - credit * cost.mean()


def _rising(rng: Rng) -> Floats:
    return _agent(rng, _SOURCE_DAYS, rng.uniform(0.005, 0.02), low=1.0)


def _shifted(rng: Rng) -> Floats:
    """Another level from a day that lies one to nine weeks before the origins."""
    at = rng.integers(TRAIN - 28, TRAIN - 7)
    factor = rng.choice([rng.uniform(0.3, 0.65), rng.uniform(1.5, 3)])
    return np.rint(_agent(rng, _SOURCE_DAYS) * np.where(np.arange(_SOURCE_DAYS) >= at, factor, 1.0))


_GROUPS: Mapping[str, Callable[[Rng], Floats]] = {
    "dense": _dense,
    "sparse": _sparse,
    "negative": _credited,
    "growing": _rising,
    "after a shift": _shifted,
}
GROUPS = tuple(_GROUPS)
_FIRST = date(2026, 3, 2)


def source(group: str, part: Part, count: int = 10) -> Source:
    """A source of a group; the same series for the same part, and others for the other one."""
    rng = np.random.default_rng((_SEEDS[part], GROUPS.index(group)))
    series_ = {f"agent {number}": _GROUPS[group](rng) for number in range(count)}
    return Source(
        name=f"simulated {group}", first=_FIRST, series=series_, counts=group != "negative"
    )


def fleet(agents: int, seed: int) -> Source:
    """A source of so many ordinary agents."""
    rng = np.random.default_rng(seed)
    series_ = {f"agent {number}": _dense(rng) for number in range(agents)}
    return Source(name="fleet", first=_FIRST, series=series_, counts=True)
