"""Level, trend and weekday of every agent: robust regression on logarithms.

Belongs here: fits of all agents at once.
Does not belong here: what is fitted (`anomaly_scales`).
"""

import numpy as np

from lake_assets.models.series import Floats

HALF_LIFE_D = 14.0
TRUSTED = 16.0
"""Weight of a day that is known to be usual: what weighs more than 1 is never an outlier."""

_FLEET_WEEKDAY_SHRINK = 0.3
_FIRST_SHRINK = 0.1
_PROVEN_DAYS = 21
_WEEKDAY_SIZE = 0.45
"""How far weekdays of agents lie from those of the median agent, as logarithms."""
_TREND_SHRINK = 3.0


def row_quantile(values: Floats, share: float) -> Floats:
    """A quantile of each row without its NaN; every row must have a number."""
    ordered = np.sort(values, axis=1)  # NaN come last
    place = share * ((~np.isnan(ordered)).sum(axis=1) - 1)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    rows = np.arange(len(ordered))
    first = ordered[rows, below]
    return first + (place - below) * (ordered[rows, above] - first)


def design(day: int, at: np.ndarray) -> Floats:
    """Level, trend per four weeks from `day` and weekday, of the days `at`."""
    columns = [np.ones(len(at)), (at - day) / 28.0]
    columns += [(at % 7 == weekday).astype(np.float64) for weekday in range(7)]
    return np.stack(columns, axis=1)


def fleet_rhythm(logs: Floats, weights: Floats, day: int) -> Floats:
    """The weekday effects of the median agent."""
    used = np.where(weights > 0, logs, np.nan)
    known_agents = (~np.isnan(used)).sum(axis=1) >= 3
    if not known_agents.any():
        return np.zeros(7)
    used = used[known_agents]
    centred = used - row_quantile(used, 0.5)[:, np.newaxis]
    has = ~np.isnan(centred).all(axis=0)
    middle = np.zeros(day)
    middle[has] = row_quantile(centred[:, has].T, 0.5)
    decay = np.where(has, 0.5 ** ((day - np.arange(day)) / HALF_LIFE_D), 0.0)
    beta, _ = solve(
        middle[np.newaxis], decay[np.newaxis], day, np.zeros(7), shrink=_FLEET_WEEKDAY_SHRINK
    )
    return beta[0, 2:]


def solve(
    targets: Floats, weights: Floats, day: int, rhythm: Floats, *, shrink: float
) -> tuple[Floats, Floats]:
    """Robust ridge regression of every row; weekday effects are shrunk towards `rhythm`.

    Returns the coefficients, and the variance of what they say of `day`.
    """
    past = design(day, np.arange(day))
    size = past.shape[1]
    products = (past[:, :, np.newaxis] * past[:, np.newaxis, :]).reshape(day, -1)
    prior = np.concatenate((np.zeros(2), rhythm))
    # Where days vary little, what a weekday says of itself outweighs what others say of it.
    proven = (weights > 0).sum(axis=1) >= _PROVEN_DAYS
    ridge = np.where(proven, _FIRST_SHRINK, shrink)
    targets = targets - past @ prior
    robust = np.ones_like(targets)
    beta = np.zeros((len(targets), size))
    has = (weights > 0).any(axis=1)
    solved = np.zeros((len(targets), size, 2))
    today = design(day, np.array([day]))[0]
    for _ in range(3):
        each = weights * robust
        normal = (each @ products).reshape(-1, size, size) + _penalty(ridge)
        moment = (each * targets) @ past
        both = np.stack((moment, np.broadcast_to(today, moment.shape)), axis=-1)
        solved = np.linalg.solve(normal, both)
        beta = solved[..., 0]
        off = np.abs(targets - beta @ past.T)
        used = np.where(weights > 0, off, np.nan)
        spread = np.ones(len(targets))
        spread[has] = row_quantile(used[has], 0.5) / 0.6745
        ridge = np.where(proven, np.clip((spread / _WEEKDAY_SIZE) ** 2, 0.02, shrink), shrink)
        reach = 4.7 * np.maximum(spread, 0.02)[:, np.newaxis]
        robust = np.square(np.clip(1.0 - np.square(off / reach), 0.0, 1.0))
        robust[weights > 1.0] = 1.0
    return beta + prior, solved[..., 1] @ today


def _penalty(ridge: Floats) -> Floats:
    """Of each row: none of the level, a fixed one of the trend, `ridge` of weekdays."""
    penalty = np.zeros((len(ridge), 9, 9))
    penalty[:, 0, 0], penalty[:, 1, 1] = 1e-9, _TREND_SHRINK
    for weekday in range(2, 9):
        penalty[:, weekday, weekday] = ridge
    return penalty
