"""What the MCP server answers: its tools and resources, as the caller may see them.

Belongs here: the protocol's requests and their answers.
Does not belong here: HTTP (`endpoint`), single tools (`tools`), the page of a dataset (`pages`).
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any, cast

import mcp.types as protocol
import msgspec
from litestar import Litestar
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import McpError
from pydantic import AnyUrl
from starlette.requests import Request

from lake_api.datasets.schemas import DatasetInfo
from lake_api.datasets.visible import Visibility, VisibleCatalog
from lake_api.doors import Door, in_words_of
from lake_api.errors import LakeError, NotFound, Problem
from lake_api.identity import Caller
from lake_api.mcp.calls import dataset_route
from lake_api.mcp.inside import RouteCall, RouteRefused, call_route
from lake_api.mcp.pages import dataset_page
from lake_api.mcp.sizing import cut, fitted
from lake_api.mcp.tools import TOOLS, Tool, answer_schema, described
from lake_api.metrics.metrics import QueryMetrics
from lake_api.settings import Settings

_PAGE_TYPE = "text/markdown"
_PAGES = "lake://datasets/"
_RESOURCE_NOT_FOUND = -32002

_Handler = Callable[[Any], Awaitable[protocol.ServerResult]]

_log = logging.getLogger("lake_api.mcp")

_INSTRUCTIONS = """\
A data lake of daily partitions, asked in DuckDB SQL. Find a dataset with list_datasets, read its \
columns with describe_dataset, then ask lake_query, with a filter on `date` unless its notes say \
otherwise. Errors have a `code` and often a `hint`: correct, and ask again."""


def mcp_server(app: Litestar, visibility: Visibility) -> Server[Any, Any]:
    """The server over the routes of `app`."""
    server: Server[Any, Any] = Server(
        "ainative-lake", version=version("ainative-lake"), instructions=_INSTRUCTIONS
    )
    answers = _Answers(app, server, visibility)
    # The library's decorators keep one list of tools for all callers; these handlers do not.
    handlers: dict[type, _Handler] = {
        protocol.ListToolsRequest: answers.list_tools,
        protocol.CallToolRequest: answers.call_tool,
        protocol.ListResourcesRequest: answers.list_resources,
        protocol.ListResourceTemplatesRequest: answers.list_templates,
        protocol.ReadResourceRequest: answers.read_resource,
    }
    server.request_handlers.update(
        {kind: _without_inside(handler) for kind, handler in handlers.items()}
    )
    return server


def _without_inside(handler: _Handler) -> _Handler:
    """The handler; what it did not expect is logged here and not told to the caller."""

    async def handle(message: Any) -> protocol.ServerResult:
        try:
            return await handler(message)
        except McpError:
            raise
        except Exception as error:
            query_id = uuid.uuid4().hex
            _log.exception("unexpected error", extra={"query_id": query_id})
            internal = LakeError("Something went wrong inside the service.", retry=True)
            internal.query_id = query_id
            raise _as_protocol(internal.to_problem(), protocol.INTERNAL_ERROR) from error

    return handle


def _as_protocol(problem: Problem, code: int) -> McpError:
    data = msgspec.to_builtins(problem)
    return McpError(protocol.ErrorData(code=code, message=problem.detail, data=data))


def _problem(error: RouteRefused | LakeError) -> Problem:
    problem = error.problem if isinstance(error, RouteRefused) else error.to_problem()
    if problem.hint is None:
        return problem
    return msgspec.structs.replace(problem, hint=in_words_of(Door.MCP, problem.hint))


class _Answers:
    """The handlers of one server; each asks for the request that its message came in."""

    def __init__(self, app: Litestar, server: Server[Any, Any], visibility: Visibility) -> None:
        self._app = app
        self._server = server
        self._visibility = visibility
        settings: Settings = app.state.settings
        self._max_chars = settings.mcp_answer_chars

    async def list_tools(self, _: protocol.ListToolsRequest) -> protocol.ServerResult:
        visible = self._visible()
        tools = [_told(tool, visible) for tool in self._tools()]
        return protocol.ServerResult(protocol.ListToolsResult(tools=tools))

    async def call_tool(self, message: protocol.CallToolRequest) -> protocol.ServerResult:
        tools = {tool.name: tool for tool in self._tools()}
        tool = tools.get(message.params.name)
        if tool is None:
            raise McpError(
                protocol.ErrorData(
                    code=protocol.INVALID_PARAMS,
                    message=f"There is no such tool; you have {', '.join(tools) or 'none'}.",
                )
            )
        result = await self._result(tool, message.params.arguments or {})
        metrics: QueryMetrics = self._app.state.metrics
        metrics.observe_tool(tool.name, failed=bool(result.isError))
        return protocol.ServerResult(result)

    async def _result(self, tool: Tool, arguments: Mapping[str, Any]) -> protocol.CallToolResult:
        try:
            text = fitted(
                _in_tools(await tool.run(self._ask, arguments)),
                item_list=tool.item_list,
                max_chars=self._max_chars,
                advice=tool.advice,
                is_page=tool.is_page,
                without=tool.without,
            )
        except (RouteRefused, LakeError) as error:
            return _text(msgspec.json.encode(_problem(error)).decode(), is_error=True)
        return _text(text)

    async def list_resources(self, _: protocol.ListResourcesRequest) -> protocol.ServerResult:
        visible = self._visible()
        resources = [
            protocol.Resource(
                uri=AnyUrl(f"{_PAGES}{dataset.sql_name}"),
                name=dataset.sql_name,
                description=visible.text(dataset.summary),
                mimeType=_PAGE_TYPE,
            )
            for dataset in visible.datasets
            if self._caller().grant.may("query")
        ]
        return protocol.ServerResult(protocol.ListResourcesResult(resources=resources))

    async def list_templates(
        self, _: protocol.ListResourceTemplatesRequest
    ) -> protocol.ServerResult:
        template = protocol.ResourceTemplate(
            uriTemplate=f"{_PAGES}{{name}}",
            name="dataset",
            description="What a dataset holds: columns, days, a query to begin with.",
            mimeType=_PAGE_TYPE,
        )
        return protocol.ServerResult(
            protocol.ListResourceTemplatesResult(resourceTemplates=[template])
        )

    async def read_resource(self, message: protocol.ReadResourceRequest) -> protocol.ServerResult:
        uri = str(message.params.uri)
        try:
            if not uri.startswith(_PAGES):
                raise NotFound("There is no such resource.", hint=f"They are {_PAGES}{{name}}.")
            content = await self._ask(dataset_route(uri.removeprefix(_PAGES)))
        except (RouteRefused, LakeError) as error:
            problem = _problem(error)
            is_unknown = problem.status == NotFound.status
            code = _RESOURCE_NOT_FOUND if is_unknown else problem.status
            raise _as_protocol(problem, code) from error
        page = dataset_page(msgspec.json.decode(content, type=DatasetInfo))
        contents = protocol.TextResourceContents(
            uri=message.params.uri, mimeType=_PAGE_TYPE, text=cut(page, self._max_chars)
        )
        return protocol.ServerResult(protocol.ReadResourceResult(contents=[contents]))

    async def _ask(self, call: RouteCall) -> bytes:
        return (await call_route(self._app, self._request(), call)).content

    def _request(self) -> Request[Any]:
        return cast("Request[Any]", self._server.request_context.request)

    def _caller(self) -> Caller:
        return cast(Caller, self._request().scope["user"])

    def _visible(self) -> VisibleCatalog:
        return self._visibility.of(self._caller().may_read)

    def _tools(self) -> list[Tool]:
        grant = self._caller().grant
        off = {"jobs"} if self._app.state.jobs is None else set[str]()
        return [tool for tool in TOOLS if grant.may(tool.operation) and tool.operation not in off]


def _in_tools(content: bytes) -> bytes:
    """An answer whose warnings name tools in place of routes."""
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    warnings = msgspec.json.decode(fields.get("warnings", b"[]"), type=list[str] | None) or []
    worded = [in_words_of(Door.MCP, warning) for warning in warnings]
    if worded == warnings:
        return content
    fields["warnings"] = msgspec.Raw(msgspec.json.encode(worded))
    return msgspec.json.encode(fields)


def _told(tool: Tool, visible: VisibleCatalog) -> protocol.Tool:
    description, schema = described(tool, visible)
    return protocol.Tool(
        name=tool.name,
        title=tool.title,
        description=description,
        inputSchema=schema,
        outputSchema=answer_schema(tool.answers),
        annotations=protocol.ToolAnnotations(
            readOnlyHint=tool.reads_only, destructiveHint=False, openWorldHint=False
        ),
    )


def _text(text: str, *, is_error: bool = False) -> protocol.CallToolResult:
    content: list[protocol.ContentBlock] = [protocol.TextContent(type="text", text=text)]
    structured = None if is_error else msgspec.json.decode(text)
    return protocol.CallToolResult(content=content, structuredContent=structured, isError=is_error)
