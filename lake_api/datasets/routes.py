"""What the routes of one dataset share: their paths and their errors.

Belongs here: from a path to a dataset's name, and how an operation gets its routes.
Does not belong here: any operation (`controller`).
"""

from collections.abc import Mapping
from typing import Any, cast

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from lake_api.audit.answering import answer_audited_problem
from lake_api.datasets.discovery import LIST_THEM, NOT_FOUND, ROUTE
from lake_api.errors import (
    Forbidden,
    LakeError,
    NotAuthenticated,
    NotFound,
    QueryUnavailable,
    RateLimited,
)
from lake_api.identity import Caller
from lake_api.query.controller import answer_query_problem
from lake_api.web.requests import LakeRequest

_FOLDERS = tuple("/".join(f"{{folder_{place}:str}}" for place in range(depth)) for depth in (1, 2))

LIST_ERRORS: Mapping[int, LakeError] = {
    401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
    403: Forbidden("This token does not allow `query`.", code="operation_not_allowed"),
    429: RateLimited("At most 120 query calls per agent and minute.", retry=True, retry_after_s=12),
    503: QueryUnavailable(
        "The lake's storage does not answer.", code="storage_unavailable", retry=True
    ),
}
ERRORS: Mapping[int, LakeError] = {
    **LIST_ERRORS,
    404: NotFound(NOT_FOUND, code="unknown_dataset", hint=LIST_THEM, field="name"),
}


def caller_of(request: LakeRequest) -> Caller:
    """Who asks."""
    return cast(Caller, request.scope["user"])


def dataset_name(request: LakeRequest, name: str) -> str:
    """The name in the path: several segments for a partition name, of which `name` is the last."""
    folders = [value for key, value in request.path_params.items() if key != "name"]
    return "/".join((*folders, name))


def answer_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Exception handler: what could not be read is a 503 here, there is no answer to put it in."""
    if isinstance(error, QueryUnavailable):
        error.http_status = 503
    return answer_audited_problem(request, error)


def answer_rows_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Exception handler of a route that reads rows: the same, and the call knows how it ended."""
    if isinstance(error, QueryUnavailable):
        error.http_status = 503
    return answer_query_problem(request, error)


def dataset_routes(
    handler: Any, *, tail: str = "", operation_id: str, **options: Any
) -> list[HTTPRouteHandler]:
    """The routes of one operation: by SQL name, as documented, and by partition name.

    The framework takes a parameter of many segments at the end of a path only, so that each depth
    has a route.
    """
    common: dict[str, Any] = {
        "tags": ["datasets"],
        "exception_handlers": {Exception: answer_unavailable},
        **options,
    }
    deeper = [f"{ROUTE}/{folders}/{{name:str}}{tail}" for folders in _FOLDERS]
    return [
        get(f"{ROUTE}/{{name:str}}{tail}", operation_id=operation_id, **common)(handler),
        get(deeper, include_in_schema=False, **common)(handler),
    ]
