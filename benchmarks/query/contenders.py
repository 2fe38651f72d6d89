"""Who takes part.

Belongs here: the list of peers.
Does not belong here: what each of them is (`embedded`, `over_http`).
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.query.contender import Contender
from benchmarks.query.embedded import Embedded
from benchmarks.query.over_http import Roapi


def peers(directory: Path) -> Sequence[Contender]:
    """The three, not started."""
    return (
        Embedded(directory, name="DuckDB httpfs", engine="httpfs"),
        Roapi(directory),
        Embedded(directory, name="chdb", engine="chdb"),
    )
