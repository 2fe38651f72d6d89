"""What discovery needs of the query engine.

Belongs here: the contract. Does not belong here: the engine (`lake_api.query.engine`).
"""

from collections.abc import Sequence
from typing import Protocol

from lake_api.query.guard import CheckedQuery
from lake_api.query.results import QueryResult
from lake_api.query.snapshot import Look, Snapshot
from lake_assets.catalog import Dataset


class LakeReader(Protocol):
    """Snapshots and rows."""

    async def snapshots(
        self, datasets: Sequence[Dataset], *, max_age_s: float
    ) -> Sequence[Snapshot]:
        """What is stored of each dataset, as of at most `max_age_s` ago."""
        ...

    async def survey(
        self, datasets: Sequence[Dataset], *, max_age_s: float, wait_s: float
    ) -> Sequence[Look]:
        """What is known of many datasets after at most `wait_s`."""
        ...

    async def run(self, checked: CheckedQuery, *, limit: int, agent: str = "") -> QueryResult:
        """The rows of a checked query; agents take turns."""
        ...
