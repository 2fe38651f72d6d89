"""`…/lake/datasets`: the list, one dataset, its samples and its profile.

Belongs here: the routes and their parameters.
Does not belong here: what they answer (`discovery`), paths (`routes`).

The list and the description read no rows: they count as requests of a token only. Samples and
profiles are query calls.
"""

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter, SkipValidation

from lake_api.audit.answering import Audited, audited, tell
from lake_api.datasets.discovery import ROUTE, Discovery
from lake_api.datasets.reader import LakeReader
from lake_api.datasets.routes import (
    ERRORS,
    LIST_ERRORS,
    answer_rows_problem,
    answer_unavailable,
    caller_of,
    dataset_name,
    dataset_routes,
)
from lake_api.datasets.sample import MAX_ROWS, MAX_SEED, SampleMode, SampleOrder
from lake_api.datasets.schemas import (
    INFO_EXAMPLE,
    LIST_EXAMPLE,
    PROFILE_EXAMPLE,
    SAMPLE_EXAMPLE,
    DatasetInfo,
    DatasetList,
    DatasetProfile,
    SampleAnswer,
)
from lake_api.errors import InvalidRequest
from lake_api.identity import requires_agent, requires_operation
from lake_api.query.call_audit import note_of_call
from lake_api.query.call_log import QueryCall
from lake_api.query.rate_limit import counts_call, counts_request
from lake_api.usage.slots import Slots
from lake_api.web.leaving import StopsForLeavers
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

_Answer = TypeVar("_Answer", SampleAnswer, DatasetProfile)

_READS = [requires_agent, requires_operation("query")]

_ROWS: Mapping[str, Any] = {
    "guards": [*_READS, counts_call],
    "middleware": [Audited(note_of_call, action="query"), StopsForLeavers()],
    "exception_handlers": {Exception: answer_rows_problem},
}
"""What makes a route a query call: counted, recorded, and told of as one."""

_Name = Annotated[
    str, Parameter(description="SQL name, or partition name with its slashes as they are.")
]


@get(
    ROUTE,
    operation_id="list_datasets",
    summary="List datasets",
    description="The datasets that the caller may read, with how new and how large they are.",
    tags=["datasets"],
    guards=[*_READS, counts_request],
    middleware=[audited("list_datasets", is_look=True), StopsForLeavers()],
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
    discovery: NamedDependency[SkipValidation[Discovery]],
    engine: NamedDependency[SkipValidation[LakeReader]],
    q: Annotated[
        str | None,
        Parameter(description="Only those with this text in name or summary.", max_length=128),
    ] = None,
    page: Annotated[int, Parameter(description="Which page, from 1.", ge=1, le=100_000)] = 1,
    page_size: Annotated[int, Parameter(description="Datasets per page.", ge=1, le=500)] = 100,
) -> DatasetList:
    """The page, in the order of the catalogue."""
    return await discovery.list(caller_of(request), engine, text=q, page=page, page_size=page_size)


async def get_dataset(
    request: LakeRequest,
    name: _Name,
    discovery: NamedDependency[SkipValidation[Discovery]],
    engine: NamedDependency[SkipValidation[LakeReader]],
) -> DatasetInfo:
    """Everything about it, but rows."""
    asked = dataset_name(request, name)
    tell(request, subject=asked)
    info = await discovery.describe(caller_of(request), engine, asked)
    tell(request, datasets=(info.partition,))
    return info


async def sample_dataset(
    *,
    request: LakeRequest,
    name: _Name,
    discovery: NamedDependency[SkipValidation[Discovery]],
    engine: NamedDependency[SkipValidation[LakeReader]],
    slots: NamedDependency[SkipValidation[Slots]],
    rows: Annotated[
        int, Parameter(description="Rows; with `per_day`, of each day.", ge=1, le=MAX_ROWS)
    ] = 10,
    mode: Annotated[
        Literal["first", "random", "per_day"],
        Parameter(
            description="`first`: as stored, of the newest day that has rows. `random`: of the "
            "newest seven days together. `per_day`: random ones of each of these days."
        ),
    ] = "first",
    seed: Annotated[
        int,
        Parameter(
            description="The same seed picks the same rows while the data is the same.",
            ge=0,
            le=MAX_SEED,
        ),
    ] = 0,
    date: Annotated[
        datetime.date | None, Parameter(description="The UTC day to draw from, as YYYY-MM-DD.")
    ] = None,
) -> Response[SampleAnswer]:
    """Rows, picked by the mode."""
    order = SampleOrder(rows=rows, mode=SampleMode(mode), seed=seed, day=date)
    call = _begin(request)
    async with slots.held(caller_of(request)):
        answer = await discovery.sample(call, engine, dataset_name(request, name), order)
    return _answer(request, call, answer)


async def profile_dataset(
    request: LakeRequest,
    name: _Name,
    discovery: NamedDependency[SkipValidation[Discovery]],
    engine: NamedDependency[SkipValidation[LakeReader]],
    slots: NamedDependency[SkipValidation[Slots]],
) -> Response[DatasetProfile]:
    """What its columns hold."""
    call = _begin(request)
    async with slots.held(caller_of(request)):
        answer = await discovery.profile(call, engine, dataset_name(request, name))
    return _answer(request, call, answer)


def _begin(request: LakeRequest) -> QueryCall:
    call = request.state["query_call"] = QueryCall(caller=caller_of(request))
    return call


def _answer(request: LakeRequest, call: QueryCall, answer: _Answer) -> Response[_Answer]:
    body: Any = msgspec.json.encode(answer)
    call.answer_bytes = len(body)
    return Response(body, headers=request.state["answer_headers"], media_type=MediaType.JSON)


DATASET_ROUTES = [
    list_datasets,
    *dataset_routes(
        get_dataset,
        operation_id="get_dataset",
        summary="Describe a dataset",
        description="Columns with meanings and accepted values, days that are there and missing, "
        "sizes, how new it is, what it is computed from. Most frequent values are there once the "
        "dataset has a profile.",
        guards=[*_READS, counts_request],
        middleware=[audited("describe_dataset"), StopsForLeavers()],
        responses={
            200: ResponseSpec(
                data_container=DatasetInfo,
                generate_examples=False,
                description="The dataset.",
                examples=[Example(value=INFO_EXAMPLE)],
            ),
            **problem_responses(ERRORS),
        },
    ),
    *dataset_routes(
        sample_dataset,
        tail="/sample",
        operation_id="sample_dataset",
        summary="Sample rows",
        description="Some rows of a dataset, to see what they look like. It is a query call.",
        **_ROWS,
        responses={
            200: ResponseSpec(
                data_container=SampleAnswer,
                generate_examples=False,
                description="The rows.",
                examples=[Example(value=SAMPLE_EXAMPLE)],
            ),
            **problem_responses(
                {
                    **ERRORS,
                    422: InvalidRequest("rows: Expected `int` <= 100", field="rows"),
                }
            ),
        },
    ),
    *dataset_routes(
        profile_dataset,
        tail="/profile",
        operation_id="profile_dataset",
        summary="Profile columns",
        description="For each column: nulls, distinct values, lowest and highest, quantiles, most "
        "frequent values. It is about the newest days (30 at most, or 64 MB; of a full state the "
        "newest), measured once for what is stored. It is a query call.",
        **_ROWS,
        responses={
            200: ResponseSpec(
                data_container=DatasetProfile,
                generate_examples=False,
                description="The profile.",
                examples=[Example(value=PROFILE_EXAMPLE)],
            ),
            **problem_responses(ERRORS),
        },
    ),
]
"""All routes of discovery."""
