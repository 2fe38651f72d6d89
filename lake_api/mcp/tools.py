"""The tools: what each is called, takes, stands for and needs.

Belongs here: tools as data, and the texts a model reads of them.
Does not belong here: the guide to SQL and datasets (`lake_api.tool`), the protocol (`server`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import msgspec

from lake_api.datasets.visible import VisibleCatalog
from lake_api.errors import NotFound, QueryUnavailable
from lake_api.mcp.inside import RouteCall
from lake_api.query.schemas import QueryError
from lake_api.tool.definition import tool_definition
from lake_api.web.requests import invalid_field
from lake_assets.catalog import Catalog, LakeSource

_LAKE = "/api/v1/internal/lake"
_NAME = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)*")

_Arguments = TypeVar("_Arguments", bound=msgspec.Struct)

_DatasetName = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=256, description="SQL name or partition name."),
]


class _ListArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    q: Annotated[
        str,
        msgspec.Meta(max_length=128, description="Only those with this text in name or summary."),
    ] = ""
    page: Annotated[int, msgspec.Meta(ge=1, le=100_000, description="Which page, from 1.")] = 1
    page_size: Annotated[int, msgspec.Meta(ge=1, le=500, description="Datasets per page.")] = 100


class _DatasetArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: _DatasetName


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool. `schema` is None where the tool's definition is written from the catalogue.

    `operation` is what a token must allow; `item_list` and `advice` are for answers that do not
    fit, `without` names fields that say nothing to a model.
    """

    name: str
    title: str
    operation: str
    description: str
    schema: Mapping[str, Any] | None
    route: Callable[[Mapping[str, Any]], RouteCall]
    item_list: str
    advice: str
    without: tuple[str, ...] = ()
    refuse_failure: Callable[[bytes], None] = lambda _: None
    reads_only: bool = True


def dataset_route(name: str, tail: str = "", params: Mapping[str, str] | None = None) -> RouteCall:
    """The route of one dataset.

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
    return RouteCall(
        method="GET", path=f"{_LAKE}/datasets/{quote(name)}{tail}", params=params or {}
    )


def _query(arguments: Mapping[str, Any]) -> RouteCall:
    # The route checks the arguments: what it refuses is counted and logged there as well.
    return RouteCall(method="POST", path=f"{_LAKE}/query", body=arguments)


class _Failure(msgspec.Struct, frozen=True):
    query_id: str
    error: QueryError | None


def _refuse_unavailable(content: bytes) -> None:
    failure = msgspec.json.decode(content, type=_Failure)
    if failure.error is None:
        return
    error = QueryUnavailable(
        failure.error.detail,
        code=failure.error.code,
        hint=failure.error.hint,
        retry=failure.error.retry,
    )
    error.query_id = failure.query_id
    raise error


def _list(arguments: Mapping[str, Any]) -> RouteCall:
    read = _read(arguments, _ListArguments)
    params = {"page": str(read.page), "page_size": str(read.page_size)}
    if read.q:
        params["q"] = read.q
    return RouteCall(method="GET", path=f"{_LAKE}/datasets", params=params)


def _describe(arguments: Mapping[str, Any]) -> RouteCall:
    return dataset_route(_read(arguments, _DatasetArguments).name)


def _read(arguments: Mapping[str, Any], shape: type[_Arguments]) -> _Arguments:
    try:
        return msgspec.convert(arguments, shape)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error)) from error


def _schema(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The struct as a JSON schema that refers to nothing else."""
    _, parts = msgspec.json.schema_components([shape])
    schema = dict(parts[shape.__name__])
    del schema["title"]
    return schema


LAKE_QUERY = "lake_query"

TOOLS: tuple[Tool, ...] = (
    Tool(
        name=LAKE_QUERY,
        title="Query the lake in SQL",
        operation="query",
        description="",
        schema=None,
        route=_query,
        item_list="rows",
        advice="Aggregate in SQL, or select fewer columns.",
        without=("source", "partition", "error", "elapsed_ms"),
        refuse_failure=_refuse_unavailable,
    ),
    Tool(
        name="list_datasets",
        title="List datasets",
        operation="query",
        description="The datasets that you may read: name in SQL, what it holds, newest day, size. "
        "`q` finds by text.",
        schema=_schema(_ListArguments),
        route=_list,
        item_list="datasets",
        advice="Ask with q, or a smaller page_size.",
    ),
    Tool(
        name="describe_dataset",
        title="Describe a dataset",
        operation="query",
        description="One dataset: its columns with types, meanings and accepted values, the days "
        "that are there and missing, how new it is, and a query to begin with. Ask this before "
        "you write SQL over a dataset for the first time.",
        schema=_schema(_DatasetArguments),
        route=_describe,
        item_list="columns",
        advice="Ask lake_query for single columns.",
    ),
)


def described(tool: Tool, visible: VisibleCatalog) -> tuple[str, dict[str, Any]]:
    """What a model reads of a tool: its description and the schema of its arguments."""
    if tool.schema is not None:
        return tool.description, dict(tool.schema)
    return _query_described(visible)


@lru_cache(maxsize=256)
def _query_described(visible: VisibleCatalog) -> tuple[str, dict[str, Any]]:
    told = [
        replace(one, source=LakeSource(upstreams=()), description=visible.text(one.description))
        for one in visible.datasets
    ]
    # Clients cut long descriptions of tools; the guide is where none does.
    function = tool_definition(Catalog(told), short=True)["function"]
    return function["description"], function["parameters"]
