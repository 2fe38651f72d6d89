"""Making a total and its parts agree.

Belongs here: the least change that makes sums right, and rounding that keeps them right.
Does not belong here: forecasts.

`total` and every kind of parts (all services, all agents) are forecast by themselves and then
moved as little as possible, in squares weighted by the variance of each one's backtest errors, so
that each kind adds up to the total: what is hard to forecast gives way to what is easy. It is MinT
(Wickramasuriya et al. 2019) with a diagonal covariance, written with constraints because two kinds
of parts have no common bottom level. Nothing goes below 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lake_assets.models.series import Floats

Whole = NDArray[np.int64]


def reconciled(
    total: Floats, kinds: Sequence[Floats], total_variance: float, variances: Sequence[Floats]
) -> tuple[Floats, list[Floats]]:
    """The total (steps) and the parts of each kind (parts by steps), so that the sums agree.

    A kind without parts is left alone.
    """
    steps = len(total)
    new_total = np.empty(steps)
    new_kinds = [np.empty_like(kind) for kind in kinds]
    for step in range(steps):
        parts = [kind[:, step] for kind in kinds]
        new_total[step], moved = _step(float(total[step]), parts, total_variance, variances)
        for kind, values in zip(new_kinds, moved, strict=True):
            kind[:, step] = values
    return new_total, new_kinds


def _step(
    total: float, parts: Sequence[Floats], total_variance: float, variances: Sequence[Floats]
) -> tuple[float, list[Floats]]:
    """One step: the sum that all kinds can meet, then each kind moved to it."""
    # In the least-squares optimum the total is the mean of the sums, weighted by their certainty.
    certainty = 1.0 / max(total_variance, 1e-12)
    weighted, weights = total * certainty, certainty
    for values, variance in zip(parts, variances, strict=True):
        if len(values):
            certainty = 1.0 / max(float(variance.sum()), 1e-12)
            weighted += float(values.sum()) * certainty
            weights += certainty
    agreed = max(weighted / weights, 0.0)
    return agreed, [
        _moved_to(agreed, values, variance) if len(values) else values
        for values, variance in zip(parts, variances, strict=True)
    ]


def _moved_to(target: float, values: Floats, variance: Floats) -> Floats:
    out = values.copy()
    free = np.ones(len(values), dtype=np.bool_)
    spread = np.maximum(variance, 1e-12)
    while free.any():
        gap = target - float(out[free].sum())
        tried = out[free] + gap * spread[free] / float(spread[free].sum())
        if (tried >= 0).all():
            out[free] = tried
            return out
        stuck = np.flatnonzero(free)[tried < 0]
        out[stuck] = 0.0
        free[stuck] = False
    return np.full(len(values), target / len(values))


def whole_units(total: Floats, kinds: Sequence[Floats], unit: float) -> tuple[Whole, list[Whole]]:
    """Total and parts as whole numbers of `unit`, whose sums agree exactly.

    The total is rounded; what rounding takes from the parts goes to those that lost most.
    """
    totals = np.rint(total / unit).astype(np.int64)
    return totals, [_apportioned(kind / unit, totals) for kind in kinds]


def _apportioned(exact: Floats, totals: Whole) -> Whole:
    out = np.floor(exact + 1e-9).astype(np.int64)
    for step in range(exact.shape[1] if len(exact) else 0):
        left = int(totals[step] - out[:, step].sum())
        lost = exact[:, step] - out[:, step]
        order = np.argsort(-lost if left >= 0 else lost, kind="stable")
        for turn in range(abs(left)):
            place = order[turn % len(order)]
            out[place, step] = max(0, out[place, step] + (1 if left > 0 else -1))
    return out
