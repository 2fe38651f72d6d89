"""`python -m benchmarks.models.calibrate`: the thresholds that ordinary days of agents ask for.

Belongs here: quantiles of scores of ordinary rows, as the table `THRESHOLDS` wants them.
Does not belong here: going through the days (`incident_alarms`), the table (`anomaly_thresholds`).

The fleets are those of `CHOSEN_ON`; none of them is used for the figures of docs/models.md.
"""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.models.incident_alarms import CHOSEN_ON, OrdinaryRow, on_incidents
from lake_assets.models.anomaly_alarms import ALL_AGENTS
from lake_assets.models.anomaly_thresholds import LEAST, LEAST_LASTING, SHARE, THRESHOLDS


def main() -> None:
    """Print the table."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        rows = [row for found in pool.map(_ordinary, CHOSEN_ON) for row in found]
    for metric in THRESHOLDS:
        own = [row for row in rows if row.metric == metric and row.finding.agent != ALL_AGENTS]
        day, lasting = ([getattr(r, name) for r in own] for name in ("day_score", "lasting_score"))
        above, below = _quantile(day), _quantile([-score for score in day])
        print(
            f'    "{metric}": Threshold(above={above:.1f}, below={below:.1f}, '
            f"lasting={max(LEAST_LASTING, _quantile([abs(score) for score in lasting])):.1f}"
            f"{', only_more=True' if THRESHOLDS[metric].only_more else ''}),"
        )


def _ordinary(seed: int) -> Sequence[OrdinaryRow]:
    return on_incidents(seeds=(seed,)).ordinary


def _quantile(scores: Sequence[float]) -> float:
    """Rounded up, so that no more than `SHARE` lies beyond it."""
    exact = float(np.quantile(scores, 1.0 - SHARE))
    return max(LEAST, float(np.ceil(exact * 10) / 10))


if __name__ == "__main__":
    main()
