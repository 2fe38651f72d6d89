"""How much days vary: spreads of residuals, and scores on the scale of a normal distribution.

Belongs here: robust spreads of one agent shrunk towards those of all, tails of Student's t.
Does not belong here: residuals (`anomaly_scales`), what is unusual (`anomaly_baseline`).
"""

import importlib
from typing import Any

import numpy as np

from lake_assets.models.anomaly_regression import row_quantile
from lake_assets.models.series import Floats

FLEET_RESIDUALS = 8.0
"""Residuals that the spread of all agents counts for beside an agent's own."""
MOST_Z = 37.0

_LEAST_SPREAD = 0.3


def spread_of(residuals: Floats) -> tuple[Floats, Floats]:
    """The spread of each agent's residuals, and its degrees of freedom."""
    counted = (~np.isnan(residuals)).sum(axis=1).astype(np.float64)
    sizes = np.abs(residuals)
    own = np.ones(len(residuals))
    enough = counted >= 3
    if enough.any():
        middle = row_quantile(sizes[enough], 0.5) / 0.6745
        outer = row_quantile(sizes[enough], 0.8) / 1.2816
        own[enough] = np.maximum(middle, outer)
    fleet = float(np.median(own[enough])) if enough.any() else 1.5
    weight = np.where(enough, counted, 0.0)
    variance = (weight * own**2 + FLEET_RESIDUALS * max(fleet, 1.0) ** 2) / (
        weight + FLEET_RESIDUALS
    )
    # By chance the spread of few residuals may be small: below 1 counts what is surely below it.
    surely = own * (1.0 + 2.5 / np.sqrt(np.maximum(weight, 1.0)))
    floor = np.where(weight >= 14, np.clip(surely, _LEAST_SPREAD, 1.0), 1.0)
    steady = floor < 1.0
    return np.where(steady, floor, np.sqrt(np.maximum(variance, 1.0))), weight + FLEET_RESIDUALS


def sum_spread(sums: Floats, length: int) -> Floats:
    """The usual size of each agent's sum over `length` days."""
    counted = (~np.isnan(sums)).sum(axis=1).astype(np.float64)
    enough = counted >= length
    own = np.ones(len(sums))
    if enough.any():
        sizes = np.abs(sums[enough])
        own[enough] = np.maximum(
            row_quantile(sizes, 0.5) / 0.6745, row_quantile(sizes, 0.8) / 1.2816
        )
    fleet = float(np.median(own[enough])) if enough.any() else 1.0 + 0.1 * length
    # Sums over days that overlap are no independent evidence.
    weight = np.where(enough, 2.0 * counted / length, 0.0)
    variance = (weight * own**2 + FLEET_RESIDUALS * fleet**2) / (weight + FLEET_RESIDUALS)
    return np.sqrt(np.maximum(variance, 1.0))


def common_spread(means: Floats, agents: int) -> tuple[float, float]:
    """The usual size of the mean of all agents, and its degrees of freedom."""
    known = np.abs(means[~np.isnan(means)])
    chance = 1.0 / np.sqrt(agents)
    if len(known) < 3:
        return max(2.0 * chance, 0.3), FLEET_RESIDUALS
    own = max(float(np.median(known)) / 0.6745, float(np.quantile(known, 0.8)) / 1.2816)
    return max(own, chance), len(known) + 4.0


def special() -> Any:
    """`scipy.special`, imported late since it takes long."""
    return importlib.import_module("scipy.special")


def as_normal(t: Floats, degrees: Floats) -> Floats:
    """The standard deviations of a normal distribution with the same tail."""
    functions = special()
    tail = np.maximum(functions.stdtr(degrees, -np.abs(t)), 1e-299)
    return np.sign(t) * np.minimum(-functions.ndtri(tail), MOST_Z)


def t_quantile(z: float, degrees: Floats) -> Floats:
    """Student's t of the score `z`."""
    functions = special()
    return -functions.stdtrit(degrees, float(functions.ndtr(-z)))
