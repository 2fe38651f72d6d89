"""Steps of the level: which backtests met one, so that they say little of what comes now.

Belongs here: finding origins whose forecasts missed a step.
Does not belong here: the backtest itself (`forecast_backtest`), candidates.

Backtests from before a step favour models that are right while nothing changes. A line through four
months is one, and follows a step last.
"""

import numpy as np

from lake_assets.models.series import Flags, Floats

_CLEARLY = 3.0
"""Times by which errors of an origin before a step are above those of others."""
_ONE_SIDED = 0.8
"""Share of an error's size that its mean has where most of it is on one side."""
_LASTS = 0.7
"""Share of the first half of an error that the second half has where a step lasts."""


def newest_missed(errors: Floats) -> bool:
    """Whether the newest origin missed a step that lasts: its errors are large, to one side.

    `errors` are signed, origin by step, the newest origin first; gaps are NaN.
    """
    if len(errors) < 2 or np.isnan(errors).all(axis=1).any():
        return False
    first, last = np.array_split(errors[0], 2)
    if np.isnan(first).all() or not len(last) or np.isnan(last).all():
        return False
    before, after = float(np.nanmean(first)), float(np.nanmean(last))
    lasts = before * after > 0 and abs(after) > _LASTS * abs(before)
    sizes = _sizes(errors)
    is_large = bool(sizes[0] > _CLEARLY * np.median(sizes[1:]))
    return lasts and is_large and bool(_one_sided(errors)[0])


def without_steps(errors: Floats) -> Floats:
    """The errors as gaps where an origin missed a step that the newest one knew of."""
    if len(errors) < 2 or np.isnan(errors).all(axis=1).any():
        return errors
    sizes = _sizes(errors)
    missed = _one_sided(errors) & (sizes > _CLEARLY * max(float(sizes[0]), 1e-300))
    return np.where(missed[:, np.newaxis], np.nan, errors)


def _sizes(errors: Floats) -> Floats:
    return np.nanmean(np.abs(errors), axis=1)


def _one_sided(errors: Floats) -> Flags:
    return np.abs(np.nanmean(errors, axis=1)) > _ONE_SIDED * _sizes(errors)
