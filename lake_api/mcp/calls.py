"""What each tool does: from its arguments to the answer of a route.

Belongs here: arguments as structs, and the routes that are asked.
Does not belong here: what a model reads of a tool (`tools`), sizes of answers (`sizing`).
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

from lake_api.errors import NotFound, Problem, QueryUnavailable
from lake_api.mcp.inside import RouteCall, RouteRefused
from lake_api.query.schemas import MAX_SQL_CHARS, MIN_SQL_CHARS, QueryError
from lake_api.web.requests import read_fields

Ask = Callable[[RouteCall], Awaitable[bytes]]
"""Asks a route as the caller; what it refuses is raised."""

Arguments = Mapping[str, Any]

_LAKE = "/api/v1/internal/lake"
_NAME = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)*")
_FIRST_POLL_S = 0.1
_MAX_POLL_S = 5.0

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_DatasetName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=256, description="SQL name or partition name.")
]


class ListArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of `list_datasets`."""

    q: Annotated[
        str,
        msgspec.Meta(max_length=128, description="Only those with this text in name or summary."),
    ] = ""
    page: Annotated[int, msgspec.Meta(ge=1, le=100_000, description="Which page, from 1.")] = 1
    page_size: Annotated[int, msgspec.Meta(ge=1, le=500, description="Datasets per page.")] = 100


class DescribeArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `describe_dataset`."""

    name: _DatasetName


class SampleArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of `sample_dataset`."""

    name: _DatasetName
    rows: Annotated[
        int, msgspec.Meta(ge=1, le=100, description="Rows; with `per_day`, of each day.")
    ] = 10
    mode: Annotated[
        Literal["first", "random", "per_day"],
        msgspec.Meta(
            description="`first`: as stored, of the newest day. `random`: of the newest seven days "
            "together. `per_day`: of each of these days."
        ),
    ] = "first"
    seed: Annotated[
        int, msgspec.Meta(ge=0, le=2**31 - 1, description="The same seed picks the same rows.")
    ] = 0
    date: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(\d{4}-\d{2}-\d{2})?$",
            description="The UTC day to draw from, as YYYY-MM-DD; empty for the newest.",
        ),
    ] = ""


class StartArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `start_job`; the route reads them."""

    sql: Annotated[
        str,
        msgspec.Meta(
            min_length=MIN_SQL_CHARS,
            max_length=MAX_SQL_CHARS,
            description="One SELECT statement, as of lake_query.",
        ),
    ]
    max_rows: (
        Annotated[int, msgspec.Meta(ge=1, description="Rows to keep at most.")] | msgspec.UnsetType
    ) = msgspec.UNSET


class ResultArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `job_result`."""

    job_id: Annotated[UUID, msgspec.Meta(description="The `id` that start_job answered.")]
    page: Annotated[
        int, msgspec.Meta(ge=1, le=10_000_000, description="Which page of rows, from 1.")
    ] = 1
    page_size: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="Rows per page.")] = 100
    wait_s: Annotated[
        float, msgspec.Meta(ge=0, le=30, description="Seconds to wait for the job to end.")
    ] = 10


async def lake_query(ask: Ask, arguments: Arguments) -> bytes:
    """Rows. The route checks the arguments: what it refuses is counted and logged there."""
    content = await ask(
        RouteCall(method="POST", path=f"{_LAKE}/query", body=arguments, only_reads=True)
    )
    answer = msgspec.json.decode(content, type=_QueryAnswer)
    if answer.error is None:
        return content
    error = QueryUnavailable(
        answer.error.detail,
        code=answer.error.code,
        hint=answer.error.hint,
        retry=answer.error.retry,
    )
    error.query_id = answer.query_id
    raise error


async def list_datasets(ask: Ask, arguments: Arguments) -> bytes:
    """A page of datasets."""
    return await ask(_get("/datasets", _read(arguments, ListArguments)))


async def describe_dataset(ask: Ask, arguments: Arguments) -> bytes:
    """Everything about one but rows."""
    return await ask(dataset_route(_read(arguments, DescribeArguments).name))


async def sample_dataset(ask: Ask, arguments: Arguments) -> bytes:
    """Some rows of one."""
    read = _read(arguments, SampleArguments)
    return await ask(dataset_route(read.name, "/sample", read))


async def start_job(ask: Ask, arguments: Arguments) -> bytes:
    """A job that was asked for."""
    return await ask(RouteCall(method="POST", path=f"{_LAKE}/jobs", body=arguments))


async def job_result(ask: Ask, arguments: Arguments) -> bytes:
    """A page of its rows, or how it stands when it has none yet.

    Each look is a request of the caller's token: a wait that would use up what it has ends early.

    Raises:
        RouteRefused: why it failed.
    """
    read = _read(arguments, ResultArguments)
    path = f"/jobs/{read.job_id}"
    end = time.monotonic() + read.wait_s
    pause_s = _FIRST_POLL_S
    content = await ask(_get(path))
    while True:
        job = msgspec.json.decode(content, type=_Job)
        if job.error is not None:
            raise RouteRefused(job.error)
        if job.state == "succeeded":
            return await ask(_get(f"{path}/results", page=read.page, page_size=read.page_size))
        left_s = end - time.monotonic()
        if job.state == "cancelled" or left_s <= 0:
            return content
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(_MAX_POLL_S, 2 * pause_s)
        try:
            content = await ask(_get(path))
        except RouteRefused as refused:
            if refused.problem.code != "rate_limited":
                raise
            return content


def dataset_route(name: str, tail: str = "", arguments: msgspec.Struct | None = None) -> RouteCall:
    """The route of one dataset; `arguments` but the name become its parameters.

    Raises:
        NotFound: no dataset can have this name, so it is not put into a path.
    """
    if not _NAME.fullmatch(name):
        raise NotFound(
            "There is no dataset of this name that you may read.",
            code="unknown_dataset",
            hint="list_datasets lists those that you may read.",
            field="name",
        )
    return _get(f"/datasets/{quote(name)}{tail}", arguments)


class _QueryAnswer(msgspec.Struct, frozen=True):
    query_id: str
    error: QueryError | None


class _Job(msgspec.Struct, frozen=True):
    state: str
    error: Problem | None


def _get(path: str, arguments: msgspec.Struct | None = None, **more: int) -> RouteCall:
    # Fields that are at their defaults are left out; the route has the same ones.
    given = {} if arguments is None else msgspec.to_builtins(arguments)
    params = {name: str(value) for name, value in {**given, **more}.items() if name != "name"}
    return RouteCall(method="GET", path=f"{_LAKE}{path}", params=params)


def _read(arguments: Arguments, shape: type[_Struct]) -> _Struct:
    return read_fields(arguments, shape)
