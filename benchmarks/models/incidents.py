"""Realistic incidents in a simulated fleet: 16 kinds, three of each, at the sizes they have.

Belongs here: what happens to whom, on which days, which metrics it changes.
Does not belong here: the rows (`simulated_rows`), judging a detector (`alarms`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.models.simulated_rows import Effects, Fleet

EACH = 3
"""Incidents of each kind."""

_VOLUME = ("runs", "requests", "calls", "tokens", "cost_usd")
_SPEED = ("latency_ms", "slow_latency_ms", "duration_ms", "slow_duration_ms")
_FAILURES = (
    "error_rate",
    "timeout_rate",
    "cancelled_rate",
    "unfinished_rate",
    "call_error_rate",
    "request_error_rate",
)
_UNITS = ("tokens_per_call", "usd_per_million_tokens", "tokens", "cost_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something of a kind that happens to an agent, or to all with `agent` empty."""

    kind: str
    agent: str
    first: int
    last: int
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How long it lasts, who may have it, what it changes."""

    metrics: tuple[str, ...]
    days: int
    apply: Callable[[Effects, int, slice, np.random.Generator], None]
    least_rate: float = 25.0
    habits: tuple[str, ...] = ("poisson", "wild", "regular")
    for_all: bool = False
    weekend: bool = False
    error_rates: tuple[float, float] = (0.0, 1.0)


def _factor(name: str, low: float, high: float) -> Callable[..., None]:
    def apply(effects: Effects, row: int, days: slice, rng: np.random.Generator) -> None:
        getattr(effects, name)[row, days] *= rng.uniform(low, high)

    return apply


def _share(name: str, low: float, high: float) -> Callable[..., None]:
    def apply(effects: Effects, row: int, days: slice, rng: np.random.Generator) -> None:
        getattr(effects, name)[row, days] = rng.uniform(low, high)

    return apply


def _grow(effects: Effects, row: int, days: slice, _: np.random.Generator) -> None:
    effects.volume[row, days] *= 1.03 ** np.arange(1, 1 + days.stop - days.start)


def _half_for_all(effects: Effects, _: int, days: slice, rng: np.random.Generator) -> None:
    effects.volume[:, days] *= rng.uniform(0.42, 0.58)


def _retries(effects: Effects, row: int, days: slice, rng: np.random.Generator) -> None:
    effects.requests[row, days] *= rng.uniform(2.0, 4.0)
    effects.refused[row, days] = rng.uniform(0.2, 0.5)


KINDS: Mapping[str, _Kind] = {
    "half a day missing": _Kind(metrics=_VOLUME, days=1, apply=_factor("volume", 0.42, 0.58)),
    "half a day missing for all": _Kind(metrics=_VOLUME, days=1, apply=_half_for_all, for_all=True),
    "lasting +50 to 60 %": _Kind(metrics=_VOLUME, days=12, apply=_factor("volume", 1.5, 1.6)),
    "+3 % a day": _Kind(metrics=_VOLUME, days=14, apply=_grow),
    "8 % of calls 3.5 times slower": _Kind(
        metrics=_SPEED, days=3, apply=_share("slow_calls", 0.08, 0.08)
    ),
    "hanging runs": _Kind(metrics=_SPEED, days=2, apply=_share("hanging", 0.03, 0.06)),
    "tokens per call +50 %": _Kind(metrics=_UNITS, days=5, apply=_factor("tokens", 1.5, 1.5)),
    "a regular agent halves": _Kind(
        metrics=_VOLUME, days=3, apply=_factor("volume", 0.5, 0.5), habits=("regular",)
    ),
    "another model's price": _Kind(metrics=_UNITS, days=5, apply=_factor("price", 1.6, 4.0)),
    "error rate from 2 to 8 %": _Kind(
        metrics=_FAILURES, days=3, apply=_share("failed", 0.06, 0.06), error_rates=(0.005, 0.035)
    ),
    "latency +60 %": _Kind(metrics=_SPEED, days=3, apply=_factor("latency", 1.6, 1.6)),
    "silent agent": _Kind(
        metrics=_VOLUME, days=2, apply=_factor("volume", 0.0, 0.0), least_rate=8.0
    ),
    "burst of 3 times": _Kind(
        metrics=_VOLUME, days=1, apply=_factor("volume", 3.0, 3.0), least_rate=8.0
    ),
    "retry storm": _Kind(metrics=_VOLUME + _FAILURES, days=1, apply=_retries, least_rate=8.0),
    "weekend work stops": _Kind(
        metrics=_VOLUME, days=2, apply=_factor("volume", 0.0, 0.0), weekend=True
    ),
    "another failure": _Kind(metrics=_FAILURES, days=3, apply=_share("timed_out", 0.04, 0.07)),
}


def planted(fleet: Fleet, *, first: int, seed: int) -> tuple[Effects, list[Incident]]:
    """`EACH` incidents of every kind that begin on day `first` or later, one per agent at most."""
    rng = np.random.default_rng((seed, 1))
    effects = Effects.none(len(fleet.names), fleet.days)
    free = list(rng.permutation(len(fleet.names)))
    found: list[Incident] = []
    shared = list(fleet.holidays)
    # The kinds that few agents can have choose first.
    for name in sorted(KINDS, key=lambda each: _rarity(KINDS[each])):
        kind = KINDS[name]
        for _ in range(EACH):
            row = 0 if kind.for_all else _chosen(fleet, kind, free)
            start = _start(fleet, kind, first, shared, rng)
            if kind.for_all:
                shared += [start - 1, start, start + 1]
            days = slice(start, min(fleet.days, start + kind.days))
            kind.apply(effects, row, days, rng)
            found.append(
                Incident(
                    kind=name,
                    agent="" if kind.for_all else fleet.names[row],
                    first=start,
                    last=days.stop - 1,
                    metrics=kind.metrics,
                )
            )
    return effects, found


def _rarity(kind: _Kind) -> tuple[int, float, float]:
    return len(kind.habits), kind.error_rates[1], -kind.least_rate


def _chosen(fleet: Fleet, kind: _Kind, free: list[int]) -> int:
    rates = np.median(fleet.rates[:, -28:], axis=1)

    def fits(row: int) -> bool:
        busy = rates[row] * (fleet.weekend[row] if kind.weekend else 1.0)
        low, high = kind.error_rates
        fails = low <= fleet.error_rates[row] <= high
        return (
            fails
            and fleet.habits[row] in kind.habits
            and busy >= kind.least_rate / (2 if kind.weekend else 1)
        )

    # A fleet of few regular agents has none left: the busiest of the others takes its place.
    row = next((row for row in free if fits(row)), None)
    if row is None:
        row = max(free, key=lambda each: rates[each] * (fleet.habits[each] != "intermittent"))
    free.remove(row)
    return row


def _start(
    fleet: Fleet, kind: _Kind, first: int, taken: list[int], rng: np.random.Generator
) -> int:
    """A day that is no holiday, nor one of an incident of all where this is one of them."""
    days = range(first, fleet.days - min(kind.days, 8) + 1)
    fitting = [
        day
        for day in days
        if (day not in taken if kind.for_all else day not in fleet.holidays)
        and (not kind.weekend or fleet.weekday(day) == 5)
        and (kind.weekend or kind.for_all or fleet.weekday(day) < 5)
    ]
    return int(rng.choice(fitting))
