"""What the routes of one dataset share: finding it, their paths and their errors.

Belongs here: from a path to a dataset that the caller may read.
Does not belong here: any route (`controller`, `rows_controller`).

A dataset that the caller may not read and one that does not exist are answered alike, by the same
steps.
"""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter, SkipValidation

from lake_api.datasets.reader import answer_unavailable
from lake_api.datasets.visible import Visibility
from lake_api.errors import Forbidden, LakeError, NotAuthenticated, NotFound, QueryUnavailable
from lake_api.identity import Caller
from lake_api.web.requests import LakeRequest
from lake_assets.catalog import Dataset

ROUTE = "/api/v1/internal/lake/datasets"

_NOT_FOUND = "There is no dataset of this name that you may read."
_LIST_THEM = f"GET {ROUTE} lists the datasets that you may read."
_FOLDERS = tuple("/".join(f"{{folder_{place}:str}}" for place in range(depth)) for depth in (1, 2))

LIST_ERRORS: Mapping[int, LakeError] = {
    401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
    403: Forbidden("This token does not allow `query`.", code="operation_not_allowed"),
    503: QueryUnavailable(
        "The lake's storage does not answer.", code="storage_unavailable", retry=True
    ),
}
ERRORS: Mapping[int, LakeError] = {
    **LIST_ERRORS,
    404: NotFound(_NOT_FOUND, code="unknown_dataset", hint=_LIST_THEM, field="name"),
}


def find_dataset(
    request: LakeRequest,
    visibility: NamedDependency[SkipValidation[Visibility]],
    name: Annotated[
        str, Parameter(description="SQL name, or partition name with its slashes as they are.")
    ],
) -> Dataset:
    """Dependency: the dataset that the path names.

    Raises:
        NotFound: there is none that the caller may read.
    """
    folders = [value for key, value in request.path_params.items() if key != "name"]
    full = "/".join((*folders, name))
    visible = visibility.of(caller_of(request).may_read)
    dataset = visible.find(full)
    if dataset is None:
        hint = visible.hint(full, otherwise=_LIST_THEM)
        raise NotFound(_NOT_FOUND, code="unknown_dataset", hint=hint, field="name")
    return dataset


def caller_of(request: LakeRequest) -> Caller:
    """Who asks."""
    return cast(Caller, request.scope["user"])


def dataset_routes(
    handler: Any, *, tail: str = "", operation_id: str, **options: Any
) -> list[HTTPRouteHandler]:
    """The routes of one operation: by SQL name, as documented, and by partition name.

    A partition name has slashes, so it is several segments of the path; the framework takes a
    parameter of many segments at the end of a path only.
    """
    common: dict[str, Any] = {
        "tags": ["datasets"],
        "dependencies": {"dataset": Provide(find_dataset, sync_to_thread=False)},
        "exception_handlers": {Exception: answer_unavailable},
        **options,
    }
    deeper = [f"{ROUTE}/{folders}/{{name:str}}{tail}" for folders in _FOLDERS]
    return [
        get(f"{ROUTE}/{{name:str}}{tail}", operation_id=operation_id, **common)(handler),
        get(deeper, include_in_schema=False, **common)(handler),
    ]
