"""Who may call each route, as the OpenAPI document tells it.

Belongs here: reading a route's guards into its security and its headers about the caller.
Does not belong here: the guards (`lake_api.identity`).

The document follows from what decides: a route that gets a guard is told as what it then is.
"""

from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute
from msgspec import to_builtins

from lake_api.identity import bad_name, requires_agent, requires_insider

_KEY: dict[str, list[str]] = {"InternalApiKey": []}
_TOKEN: dict[str, list[str]] = {"BearerToken": []}
_NETWORK: dict[str, list[str]] = {}
_HEADERS = {
    "X-Agent-ID": "What an agent inside the internal networks calls itself.",
    "X-Cron-Run-ID": "The cron run that the call belongs to; its calls share a budget.",
}


class CallersPlugin(JsonRenderPlugin):
    """Serves the document with the security of each route."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        for route in request.app.routes:
            if isinstance(route, HTTPRoute):
                self._describe(route, openapi_schema["paths"])
        return super().render(request, openapi_schema)

    @staticmethod
    def _describe(route: HTTPRoute, paths: dict[str, Any]) -> None:
        for handler in route.route_handlers:
            guards = handler.resolve_guards()
            if requires_agent not in guards and requires_insider not in guards:
                continue
            for path in paths.values():
                for operation in path.values():
                    if operation.get("operationId") == handler.operation_id:
                        _complete(operation, takes_tokens=requires_agent in guards)


def _complete(operation: dict[str, Any], *, takes_tokens: bool) -> None:
    operation.setdefault("security", [_NETWORK, _TOKEN, _KEY] if takes_tokens else [_NETWORK, _KEY])
    parameters = operation.setdefault("parameters", [])
    known = {one.get("name") for one in parameters}
    for name, description in _HEADERS.items():
        if name not in known:
            header = {"name": name, "in": "header", "required": False, "description": description}
            parameters.append({**header, "schema": {"type": "string"}})
    _document_bad_names(operation["responses"])


def _document_bad_names(responses: dict[str, Any]) -> None:
    """A name in a header with characters that names may not have is a 422 of every such route."""
    if "422" in responses:
        return
    error = bad_name(next(iter(_HEADERS)))
    content = {
        media_type: {
            **shape,
            "examples": {
                error.code: {"summary": error.code, "value": to_builtins(error.to_problem())}
            },
        }
        for media_type, shape in responses["400"]["content"].items()
    }
    responses["422"] = {"description": error.title, "content": content}
