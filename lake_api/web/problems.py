"""From any exception to the one JSON shape of errors.

Belongs here: the exception handler of the application, and how routes document its answers.
Does not belong here: the errors themselves (`lake_api.errors`).
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from lake_api.doors import FILES
from lake_api.errors import (
    BodyTooLarge,
    InvalidRequest,
    LakeError,
    MethodNotAllowed,
    NotFound,
    Problem,
    UnknownHost,
)
from lake_api.settings import Settings

PROBLEM_MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("lake_api.errors")


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Exception handler: what went wrong, as `application/problem+json`."""
    lake_error = _to_lake_error(request, error)
    lake_error.query_id = lake_error.query_id or request.state.get("query_id")
    headers = {**request.state.get("answer_headers", {}), **lake_error.headers}
    return Response(
        msgspec.json.encode(lake_error.to_problem()),
        status_code=lake_error.http_status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


def _to_lake_error(request: Request[Any, Any, Any], error: Exception) -> LakeError:
    match error:
        case LakeError():
            return error
        case HTTPException() if error.status_code < 500:
            return _refusal(request, error)
        case _:
            return _internal_error(request, error)


def _refusal(request: Request[Any, Any, Any], error: HTTPException) -> LakeError:
    """What the framework itself refuses, before any route's code runs."""
    match error:
        case NotFoundException():
            return NotFound(
                "There is no such route.",
                code="unknown_route",
                hint="GET /schema/openapi.json lists the routes; /docs shows them.",
            )
        case MethodNotAllowedException():
            refused = MethodNotAllowed(f"This route does not take {request.method}.")
            refused.allowed = _allowed_methods(error)
            return refused
        case RequestEntityTooLarge():
            settings: Settings = request.app.state.settings
            return BodyTooLarge(
                f"The body has more than {settings.body_bytes} bytes.",
                hint="Send a shorter body.",
            )
        case ValidationException():
            return _invalid_parameter(error)
        case _:
            return InvalidRequest(
                "The request can't be read.", code="bad_request", status=error.status_code
            )


def _allowed_methods(error: MethodNotAllowedException) -> tuple[str, ...]:
    listed = (error.headers or {}).get("allow", "")
    return tuple(sorted(method.strip() for method in listed.split(",") if method.strip()))


def _invalid_parameter(error: ValidationException) -> InvalidRequest:
    extra: Any = error.extra
    first: Any = extra[0] if isinstance(extra, list) and extra else {}
    name = str(first.get("key", "")) or None
    detail = str(first.get("message", "")) or "A parameter has the wrong shape."
    return InvalidRequest(f"{name}: {detail}" if name else detail, field=name)


def _internal_error(request: Request[Any, Any, Any], error: Exception) -> LakeError:
    query_id = request.state.get("query_id") or uuid.uuid4().hex
    # Whoever has the path of a link has its file.
    path = FILES if request.url.path.startswith(FILES) else request.url.path
    _log.error(
        "unexpected error",
        exc_info=error,
        extra={"query_id": query_id, "method": request.method, "path": path},
    )
    internal = LakeError(
        "Something went wrong inside the service; nothing is known to be wrong with the request.",
        hint="Try again; if it stays, tell the operator the query_id.",
        retry=True,
    )
    internal.query_id = query_id
    return internal


def problem_responses(examples: Mapping[int, LakeError]) -> dict[int, ResponseSpec]:
    """OpenAPI documentation of a route's errors: one example error for each status."""
    everywhere = {
        400: InvalidRequest("The body is not JSON.", code="malformed_json", status=400),
        421: UnknownHost("The Host header does not name this service."),
        500: LakeError("Something went wrong inside the service.", retry=True),
    }
    return {
        status: ResponseSpec(
            data_container=Problem,
            media_type=PROBLEM_MEDIA_TYPE,
            description=error.title if status in examples else type(error).title,
            generate_examples=False,
            examples=[Example(summary=error.code, value=_example(error, status))],
        )
        for status, error in sorted({**everywhere, **examples}.items())
    }


def _example(error: LakeError, status: int) -> dict[str, Any]:
    error.http_status = status
    return msgspec.to_builtins(error.to_problem())
