"""What discovery needs of the query engine.

Belongs here: the contract, and how what the engine can't do is told.
Does not belong here: the engine (`lake_api.query.engine`).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from litestar import Request, Response

from lake_api.errors import QueryUnavailable
from lake_api.query.guard import CheckedQuery
from lake_api.query.results import QueryResult
from lake_api.query.snapshot import Snapshot
from lake_api.web.problems import answer_problem
from lake_assets.catalog import Dataset


class LakeReader(Protocol):
    """Snapshots and rows."""

    async def snapshots(
        self, datasets: Sequence[Dataset], *, max_age_s: float
    ) -> Sequence[Snapshot]:
        """What is stored of each dataset, as of at most `max_age_s` ago."""
        ...

    async def run(self, checked: CheckedQuery, *, limit: int, agent: str = "") -> QueryResult:
        """The rows of a checked query; agents take turns."""
        ...


def answer_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Exception handler: what could not be read is a 503 here, there is no answer to put it in."""
    if isinstance(error, QueryUnavailable):
        error.http_status = 503
    return answer_problem(request, error)
