"""`…/lake/datasets`: which datasets there are, and everything about one but its rows.

Belongs here: these two operations.
Does not belong here: what is told (`describe`), what a caller sees (`visible`), paths (`routes`).
"""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter, SkipValidation

from lake_api.clock import Clock
from lake_api.datasets.describe import dataset_info, dataset_line
from lake_api.datasets.reader import LakeReader, answer_unavailable
from lake_api.datasets.routes import ERRORS, LIST_ERRORS, ROUTE, caller_of, dataset_routes
from lake_api.datasets.schemas import INFO_EXAMPLE, LIST_EXAMPLE, DatasetInfo, DatasetList
from lake_api.datasets.visible import Visibility, VisibleCatalog
from lake_api.errors import InvalidRequest
from lake_api.identity import Role, requires_agent, requires_operation
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest
from lake_assets.catalog import Dataset

_LIST_AGE_S = 5.0
"""How old the list's newest days may be; each dataset that is older costs a small request."""

_AGE_S = 0.5


@get(
    ROUTE,
    operation_id="list_datasets",
    summary="List datasets",
    description="The datasets that the caller may read, with how new and how large they are.",
    tags=["datasets"],
    guards=[requires_agent, requires_operation("query")],
    exception_handlers={Exception: answer_unavailable},
    responses={
        200: ResponseSpec(
            data_container=DatasetList,
            generate_examples=False,
            description="A page of datasets.",
            examples=[Example(value=LIST_EXAMPLE)],
        ),
        **problem_responses(
            {**LIST_ERRORS, 422: InvalidRequest("page: Expected `int` >= 1", field="page")}
        ),
    },
)
async def list_datasets(
    *,
    request: LakeRequest,
    visibility: NamedDependency[SkipValidation[Visibility]],
    engine: NamedDependency[SkipValidation[LakeReader]],
    clock: NamedDependency[SkipValidation[Clock]],
    q: Annotated[
        str | None,
        Parameter(description="Only those with this text in name or summary.", max_length=128),
    ] = None,
    page: Annotated[int, Parameter(description="Which page, from 1.", ge=1, le=100_000)] = 1,
    page_size: Annotated[int, Parameter(description="Datasets per page.", ge=1, le=500)] = 100,
) -> DatasetList:
    """The page, in the order of the catalogue."""
    visible = visibility.of(caller_of(request).may_read)
    found = [one for one in visible.datasets if q is None or _mentions(one, q, visible)]
    shown = found[(page - 1) * page_size : page * page_size]
    snapshots = await engine.snapshots(shown, max_age_s=_LIST_AGE_S)
    now = clock()
    return DatasetList(
        datasets=tuple(dataset_line(one, visible, now=now) for one in snapshots),
        total=len(found),
        page=page,
        page_size=page_size,
    )


async def get_dataset(
    request: LakeRequest,
    dataset: NamedDependency[SkipValidation[Dataset]],
    visibility: NamedDependency[SkipValidation[Visibility]],
    engine: NamedDependency[SkipValidation[LakeReader]],
    clock: NamedDependency[SkipValidation[Clock]],
) -> DatasetInfo:
    """Everything about it, but rows."""
    caller = caller_of(request)
    [snapshot] = await engine.snapshots([dataset], max_age_s=_AGE_S)
    return dataset_info(
        snapshot,
        visibility.of(caller.may_read),
        now=clock(),
        may_trigger=caller.role is Role.ADMIN
        or (caller.token_id is not None and caller.grant.may("trigger")),
        rows=None,
        top_values={},
    )


def _mentions(dataset: Dataset, text: str, visible: VisibleCatalog) -> bool:
    told = (dataset.partition, dataset.sql_name, visible.text(dataset.summary))
    return any(text.lower() in one.lower() for one in told)


DATASET_ROUTES = dataset_routes(
    get_dataset,
    operation_id="get_dataset",
    summary="Describe a dataset",
    description="Columns with meanings and accepted values, days that are there and missing, "
    "sizes, how new it is, what it is computed from. The name is the SQL name or the partition "
    "name, with its slashes.",
    guards=[requires_agent, requires_operation("query")],
    responses={
        200: ResponseSpec(
            data_container=DatasetInfo,
            generate_examples=False,
            description="The dataset.",
            examples=[Example(value=INFO_EXAMPLE)],
        ),
        **problem_responses(ERRORS),
    },
)
"""The routes of `get_dataset`."""
