"""Simulated daily series of many shapes, which the models were not made for one by one.

Belongs here: series by kind, from a seed.
Does not belong here: agents and their events (`simulated_agents`).
"""

from collections.abc import Callable, Mapping

import numpy as np

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
