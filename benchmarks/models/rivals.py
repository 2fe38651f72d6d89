"""The plain models of statsforecast as anybody would call them, and the mean of three of them.

Belongs here: what the product's forecasts are compared with, and the cache of these forecasts.
Does not belong here: the product's forecasts, scores (`contest`).

Models have their defaults and a season of seven days. Where no day of the training is below 0,
forecasts and bounds are cut at 0: nobody would use them otherwise, and it helps them. One that
fails on a series is replaced by seasonal naive there. They do not change with the product, so that
they are computed once for each training series and version of statsforecast.
"""

import hashlib
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models.unseen import LONGEST
from lake_assets.models.series import Floats

CACHE = Path(sys.prefix) / "benchmark-cache"
LEVELS = (0.8, 0.95)
NAIVE = "SeasonalNaive"
SINGLE = ("AutoETS", "AutoTheta", "MSTL")
MEAN = "mean of three"
PLAIN = (*SINGLE, MEAN, NAIVE)

_FAILURES = (ValueError, ArithmeticError, RuntimeError, IndexError, TypeError)
_ROWS = ("mean", "lo-80", "hi-80", "lo-95", "hi-95")


def plain(trainings: Sequence[Floats]) -> list[dict[str, Floats]]:
    """Per series and model: point, lower and upper at 80, the same at 95, by days ahead."""
    key = hashlib.sha256(f"2/{version('statsforecast')}/{LONGEST}".encode())
    for each in trainings:
        key.update(np.ascontiguousarray(each).tobytes() + b"/")
    path = CACHE / f"{key.hexdigest()}.npy"
    if path.exists():
        made = np.load(path)
    else:
        made = np.stack([_all(each) for each in trainings])
        CACHE.mkdir(exist_ok=True)
        part = path.with_suffix(f".{id(made)}.part.npy")
        np.save(part, made)
        part.rename(path)
    return [dict(zip(PLAIN, of_series, strict=True)) for of_series in made]


def _all(training: Floats) -> Floats:
    from statsforecast import models  # noqa: PLC0415 - takes seconds

    naive = _one(models.SeasonalNaive(season_length=7), training)
    assert naive is not None
    single: list[Floats] = []
    for name in SINGLE:
        found = _one(getattr(models, name)(season_length=7), training)
        single.append(naive if found is None else found)
    made = np.stack([*single, np.mean(single, axis=0), naive])
    return made if (training < 0).any() else np.maximum(made, 0.0)


def _one(model: Any, training: Floats) -> Floats | None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            made = model.forecast(y=training, h=LONGEST, level=[80, 95])
        except _FAILURES:
            return None
    rows = np.stack([np.asarray(made[row], dtype=np.float64) for row in _ROWS])
    return rows if np.isfinite(rows).all() else None
