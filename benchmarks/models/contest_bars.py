"""What is claimed of forecasts, as bars that a measurement can miss.

Belongs here: the bars, and whether the scores of the judging part meet them.
Does not belong here: other tables (`contest_tables`), scoring (`contest`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.models.contest import OURS, Score
from benchmarks.models.contest_tables import (
    ALL,
    FIGURES,
    by_series,
    by_source,
    compared,
    groups,
    mase,
    over_series,
    ratio,
    row,
)
from benchmarks.models.rivals import MEAN, NAIVE, PLAIN

COVERED = ("dense", "sparse", "growing", "after a shift")
"""Groups whose intervals are to cover what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure that lies between two bounds where the claim holds."""

    claim: str
    measured: float
    least: float = -np.inf
    most: float = np.inf
    form: str = ".2f"
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether this measurement does not refute it."""
        return self.least <= self.measured <= self.most

    def cells(self) -> tuple[str, ...]:
        """Its line of the table."""
        bounds = [
            f"{word} {bound:g}{self.unit}"
            for word, bound in (("at least", self.least), ("at most", self.most))
            if np.isfinite(bound)
        ]
        measured = f"{self.measured:{self.form}}{self.unit}"
        return self.claim, " and ".join(bounds), measured, "yes" if self.holds else "no"


def table(scores: Sequence[Score], processor_time_s: float) -> str:
    """Every bar with what was measured."""
    lines = [row("claim", "refuted unless", "measured", "holds"), row(*["---"] * 4)]
    return "\n".join([*lines, *(row(*bar.cells()) for bar in bars(scores, processor_time_s))])


def bars(scores: Sequence[Score], processor_time_s: float) -> Iterator[Bar]:
    """The bars, measured of public series of the judging part."""
    by_group = groups(compared(scores))
    whole = by_group[ALL]
    ours, mean, naive = (by_series(whole, each, mase) for each in (OURS, MEAN, NAIVE))
    yield Bar(
        claim="MASE over that of the mean of three, over series",
        measured=ratio(ours, mean),
        most=0.90,
        form=".3f",
    )
    yield Bar(
        claim="MASE over that of the mean of three, over sources",
        measured=ratio(by_source(ours), by_source(mean)),
        most=0.93,
        form=".3f",
    )
    yield Bar(
        claim="series with a smaller MASE than seasonal naive",
        measured=100 * float(np.mean([ours[key] < naive[key] for key in ours])),
        least=80,
        form=".0f",
        unit=" %",
    )
    for group in (ALL, "sparse"):
        for level in (80, 95):
            figure = FIGURES[f"score {level}"]
            best = min(over_series(by_group[group], each, figure) for each in PLAIN)
            yield Bar(
                claim=f"interval score at {level} % over the best plain model's, {group} series",
                measured=over_series(by_group[group], OURS, figure) / best,
                most=1.0,
            )
    for group in COVERED:
        for level in (80, 95):
            yield Bar(
                claim=f"days in the {level} % interval, {group} series",
                measured=over_series(by_group[group], OURS, FIGURES[f"in {level} %"]),
                least=level - 5,
                most=min(level + 5, 100),
                form=".1f",
                unit=" %",
            )
    inside = [
        each.month.covered
        for each in whole
        if each.contender == OURS and each.month and each.month.covered is not None
    ]
    if inside:
        yield Bar(
            claim="sums to the month's end in their 80 % interval",
            measured=100 * float(np.mean(inside)),
            least=75,
            most=85,
            form=".1f",
            unit=" %",
        )
    yield Bar(
        claim="processor time of 100 agents",
        measured=processor_time_s,
        most=15,
        form=".1f",
        unit=" s",
    )
