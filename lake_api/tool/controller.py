"""`GET /api/v1/internal/lake/tool-definition`: the tool, for whoever registers it.

Belongs here: the route and its parameters.
Does not belong here: the texts (`guide`), the forms (`definition`).

The admin is told of all datasets, the holder of a token of its own. Agents by network are not
asked here to register tools: the specification wants a key.
"""

from typing import Annotated, Any, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited
from lake_api.datasets.discovery import LIST_THEM, NOT_FOUND, Discovery
from lake_api.datasets.routes import caller_of
from lake_api.datasets.visible import VisibleCatalog
from lake_api.errors import Forbidden, InvalidRequest, NotAuthenticated, NotFound
from lake_api.identity import (
    API_KEY_HEADER,
    TOKEN_HEADER,
    Caller,
    Connection,
    requires_admin,
    requires_agent,
    requires_operation,
)
from lake_api.mcp.tools import TOOLS, described
from lake_api.query.rate_limit import LIMIT_ERRORS, counts_look
from lake_api.tool.definition import TOOL_NAME, ToolForm, in_form, tool_definition
from lake_api.tool.guide import MIN_GUIDE_CHARS
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest
from lake_assets.catalog import Dataset

_MAX_GUIDE_CHARS = 400_000

_query_is_allowed = requires_operation("query")

_EXAMPLE = {
    "type": "function",
    "function": {
        "name": "lake_query",
        "description": "Query the data lake …",
        "parameters": {
            "type": "object",
            "properties": {"sql": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["sql"],
            "additionalProperties": False,
        },
    },
}

_RESPONSES = {
    200: ResponseSpec(
        data_container=dict[str, Any],
        generate_examples=False,
        description="The tool, in the form that was asked for; with `tools=all`, a list `tools`.",
        examples=[Example(value=_EXAMPLE)],
    ),
    **problem_responses(
        {
            401: NotAuthenticated("This route needs the internal API key."),
            403: Forbidden("Admin routes are switched off.", code="admin_disabled"),
            404: NotFound(NOT_FOUND, code="unknown_dataset", hint="Did you mean `example_runs`?"),
            422: InvalidRequest("columns: Invalid enum value 'some'", field="columns"),
            **LIMIT_ERRORS,
        }
    ),
}


async def requires_key_or_token(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard: the admin by key, or the holder of a token that may query."""
    scheme = connection.headers.get(TOKEN_HEADER, "").partition(" ")[0]
    if API_KEY_HEADER in connection.headers or scheme.lower() != "bearer":
        await requires_admin(connection, handler)
        return
    await requires_agent(connection, handler)
    await _query_is_allowed(connection, handler)


@get(
    "/api/v1/internal/lake/tool-definition",
    operation_id="get_tool_definition",
    summary="The query tool for language models",
    description="The tool `lake_query`, generated from what the caller may read of the catalogue. "
    "Every dataset is told with all columns, types and accepted values where that fits into "
    "`max_chars`, with meanings where these fit as well; `datasets` or `columns=all` lists column "
    "tables however long they are.",
    tags=["lake"],
    guards=[requires_key_or_token, counts_look],
    middleware=[audited("read_tool", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    security=[{"InternalApiKey": []}, {"BearerToken": []}],
    responses=_RESPONSES,
)
async def get_tool_definition(
    *,
    request: LakeRequest,
    discovery: NamedDependency[SkipValidation[Discovery]],
    datasets: Annotated[
        str | None,
        Parameter(
            description="SQL or partition names, comma-separated, whose columns to list.",
            max_length=4000,
        ),
    ] = None,
    columns: Annotated[
        Literal["all"] | None, Parameter(description="`all`: list every dataset's columns.")
    ] = None,
    guide: Annotated[
        Literal["description", "parameter"],
        Parameter(
            description="Where the long text stands. `parameter` keeps `function.description` "
            "within 1,024 characters, as OpenAI and servers like it demand.",
        ),
    ] = "parameter",
    max_chars: Annotated[
        int,
        Parameter(
            description="Characters that the long text may have. 64,000 hold every column of every "
            "dataset.",
            ge=MIN_GUIDE_CHARS,
            le=_MAX_GUIDE_CHARS,
        ),
    ] = MIN_GUIDE_CHARS,
    format: Annotated[  # noqa: A002 - the name of the parameter in the query
        Literal["openai", "anthropic", "mcp"],
        Parameter(description="Whose form of a tool."),
    ] = "openai",
    tools: Annotated[
        Literal["query", "all"],
        Parameter(
            description="`all`: every tool that the caller may use, as `/mcp` has them, in a list."
        ),
    ] = "query",
    strict: Annotated[
        bool,
        Parameter(
            description="Schemas as strict servers take them: every field is required, and null "
            "where it would be left out."
        ),
    ] = False,
) -> dict[str, Any]:
    """The tool, or the tools, for these parameters."""
    caller, form = caller_of(request), ToolForm(format)
    visible = discovery.visible_to(caller)
    wanted = visible.datasets if columns == "all" else _named(visible, datasets or "")
    tool = tool_definition(
        visible,
        with_columns=wanted,
        short=guide == "parameter",
        max_chars=max_chars,
        form=form,
        strict=strict,
    )
    if tools == "query":
        return tool
    return {"tools": [tool, *_others(caller, visible, form, strict=strict)]}


def _others(
    caller: Caller, visible: VisibleCatalog, form: ToolForm, *, strict: bool
) -> list[dict[str, Any]]:
    """The tools beside the query that the caller may use."""
    told = ((one, described(one, visible)) for one in TOOLS if one.name != TOOL_NAME)
    return [
        in_form(
            form,
            name=tool.name,
            description=description,
            parameters=parameters,
            reads_only=tool.reads_only,
            strict=strict,
        )
        for tool, (description, parameters) in told
        if caller.grant.may(tool.operation)
    ]


def _named(visible: VisibleCatalog, listed: str) -> tuple[Dataset, ...]:
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return tuple(dict.fromkeys(_find(visible, name) for name in names))


def _find(visible: VisibleCatalog, name: str) -> Dataset:
    found = visible.find(name)
    if found is None:
        raise NotFound(
            NOT_FOUND,
            code="unknown_dataset",
            hint=visible.hint(name, otherwise=LIST_THEM),
            fragment=name[:128],
            field="datasets",
        )
    return found
