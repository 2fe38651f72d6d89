"""Making a total and its parts agree.

Belongs here: the least change that makes sums right, and rounding that keeps them right.
Does not belong here: forecasts.

`total` and every kind of parts (all services, all agents) are forecast by themselves and then
moved as little as possible, in squares weighted by the variance of each one's errors, so that each
kind adds up to the total: what is hard to forecast gives way to what is easy. It is MinT
(Wickramasuriya et al. 2019) with a diagonal covariance, written with constraints because two kinds
of parts have no common bottom level. No part leaves the middle of its own interval as long as the
others can give way, or the total can: a new agent that doubles every day is evidence that the total
does not have yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lake_assets.models.series import Floats

Whole = NDArray[np.int64]

_LEAST = 1e-12
"""The least variance: none may be beyond doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The forecasts of the parts of one kind, parts by steps, each within what it may be."""

    points: Floats
    lower: Floats
    upper: Floats
    variances: Floats
    """One for each part."""


def reconciled(
    total: Floats, total_variance: float, kinds: Sequence[Parts]
) -> tuple[Floats, list[Floats]]:
    """The total (steps) and the parts of each kind (parts by steps), so that the sums agree.

    A kind without parts is left alone.
    """
    present = [kind for kind in kinds if len(kind.points)]
    # In the least-squares optimum the total is the mean of the sums, weighted by their certainty.
    certainty = 1.0 / max(total_variance, _LEAST)
    weighted, weights = total * certainty, certainty
    for kind in present:
        certainty = 1.0 / max(float(kind.variances.sum()), _LEAST)
        weighted = weighted + kind.points.sum(axis=0) * certainty
        weights += certainty
    agreed = weighted / weights
    if present:
        least = np.max([kind.lower.sum(axis=0) for kind in present], axis=0)
        most = np.min([kind.upper.sum(axis=0) for kind in present], axis=0)
        # Kinds that exclude each other meet in the middle.
        agreed = np.where(least <= most, np.clip(agreed, least, most), (least + most) / 2.0)
    moved = [np.empty_like(kind.points) for kind in kinds]
    for kind, out in zip(kinds, moved, strict=True):
        for step in range(len(total) if len(kind.points) else 0):
            out[:, step] = _moved_to(
                float(agreed[step]),
                kind.points[:, step],
                kind.variances,
                kind.lower[:, step],
                kind.upper[:, step],
            )
    return agreed, moved


def _moved_to(
    target: float, values: Floats, variance: Floats, lower: Floats, upper: Floats
) -> Floats:
    """The values moved so that they add up to the target, within their bounds if those allow it."""
    # Beyond the bounds of all, the bounds themselves give way in proportion.
    if target <= float(lower.sum()):
        return _scaled_to(target, lower, values)
    if target >= float(upper.sum()):
        return _scaled_to(target, upper, values)
    out = values.copy()
    free = np.ones(len(values), dtype=np.bool_)
    spread = np.maximum(variance, _LEAST)
    while free.any():
        gap = target - float(out.sum())
        tried = out + np.where(free, gap * spread / float(spread[free].sum()), 0.0)
        over = free & ((tried > upper) if gap > 0 else (tried < lower))
        if not over.any():
            return tried
        out[over] = upper[over] if gap > 0 else lower[over]
        free &= ~over
    return out


def _scaled_to(target: float, edges: Floats, values: Floats) -> Floats:
    weights = np.abs(edges) if edges.any() else np.abs(values)
    weights = weights if weights.any() else np.ones(len(edges))
    return edges + (target - float(edges.sum())) * weights / float(weights.sum())


def whole_units(total: Floats, kinds: Sequence[Floats], unit: float) -> tuple[Whole, list[Whole]]:
    """Total and parts as whole numbers of `unit`, whose sums agree exactly.

    The total is rounded; what rounding takes from the parts goes to those that lost most.
    """
    totals = np.rint(total / unit).astype(np.int64)
    return totals, [_apportioned(kind / unit, totals) for kind in kinds]


def _apportioned(exact: Floats, totals: Whole) -> Whole:
    out = np.floor(exact + 1e-9).astype(np.int64)
    count = len(exact)
    for step in range(exact.shape[1] if count else 0):
        left = int(totals[step]) - int(out[:, step].sum())
        lost = exact[:, step] - out[:, step]
        order = np.argsort(-lost, kind="stable")
        each, over = divmod(left, count)
        out[:, step] += each
        out[order[:over], step] += 1
        _keep_signs(out[:, step], exact[:, step])
    return out


def _keep_signs(whole: Whole, exact: Floats) -> None:
    """Give back what rounding took below 0 from parts that are not below it, from the largest."""
    owed = np.where(exact >= 0, np.minimum(whole, 0), 0)
    short = -int(owed.sum())
    whole -= owed
    while short > 0:
        largest = int(np.argmax(whole))
        taken = min(short, max(int(whole[largest]), 1))
        whole[largest] -= taken
        short -= taken
