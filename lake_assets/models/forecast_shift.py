"""Series whose level has just moved: the newest days say which models have followed.

Belongs here: noticing that the newest backtest missed a step, errors over the last season.
Does not belong here: the backtest itself (`forecast_backtest`), candidates.

Backtests from before a step favour models that are right while nothing changes. A line through four
months is one, and follows a step last.
"""

import numpy as np

from lake_assets.models.series import Floats

_CLEARLY = 2.0
"""Times by which errors of the newest origin are above those of the others after a step."""
_ONE_SIDED = 0.8
"""Share of an error's size that its mean has where most of it is on one side."""


def is_missed(errors: Floats) -> bool:
    """Whether the errors of the newest origin are those of a step: large, and to one side.

    `errors` are signed, origin by step, the newest origin first; gaps are NaN.
    """
    if len(errors) < 2 or np.isnan(errors).all(axis=1).any():
        return False
    sizes = np.nanmean(np.abs(errors), axis=1)
    one_sided = abs(float(np.nanmean(errors[0]))) > _ONE_SIDED * float(sizes[0])
    return one_sided and float(sizes[0]) > _CLEARLY * float(sizes[1:].min())
