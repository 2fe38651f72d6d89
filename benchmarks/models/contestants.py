"""Which sources take part in the contest, and their figures together.

Belongs here: the sources of each part, measuring one of them, the text of a part.
Does not belong here: measuring (`contest`), single tables (`contest_tables`).
"""

import warnings
from collections.abc import Iterable
from typing import cast

from benchmarks.models import contest, contest_tables, simulated, unseen_sources
from benchmarks.models.contest import Score
from benchmarks.models.unseen import PARTS, Part, part_of

_SIMULATED = ", simulated: "


def names(part: Part) -> list[str]:
    """The public sources of a part, and the simulated ones of its seed."""
    public = [name for name in unseen_sources.NAMES if part_of(name) == part]
    return [*public, *(f"{part}{_SIMULATED}{group}" for group in simulated.GROUPS)]


def scores_of(name: str) -> list[Score]:
    """The scores of one source."""
    warnings.simplefilter("ignore")
    part, simulated_, group = name.partition(_SIMULATED)
    if not simulated_:
        return contest.scores(unseen_sources.read(name))
    return contest.scores(simulated.source(group, cast("Part", part)), group=group)


def figures(found: Iterable[list[Score]], part: Part) -> str:
    """The tables of one part: public sources, then simulated ones."""
    found = list(found)
    real = public(found)
    made = [each for scores in found for each in scores if each.source.startswith("simulated")]
    return "\n\n".join(
        (
            *_tables(f"{part}, public", real),
            contest_tables.significance(real),
            *_tables(f"{part}, simulated", made),
            contest_tables.claims(made),
        )
    )


def public(found: Iterable[list[Score]]) -> list[Score]:
    """The scores of public sources."""
    return [each for scores in found for each in scores if not each.source.startswith("simulated")]


def _tables(label: str, scores: list[Score]) -> tuple[str, ...]:
    return (
        contest_tables.points_table(label, scores),
        contest_tables.intervals_table(label, scores),
        contest_tables.sums_table(label, scores),
    )


def split() -> str:
    """Which data sets are in which part."""
    lines = [
        f"{part.capitalize()}: "
        + "; ".join(name for name in unseen_sources.NAMES if part_of(name) == part)
        + "."
        for part in PARTS
    ]
    return "\n\n".join(lines)
