"""Every error that a caller of the HTTP service can meet.

    LakeError
    ├─ InvalidRequest        422  the body or a parameter has the wrong shape (400: no JSON)
    │  ├─ BodyTooLarge       413
    │  ├─ UnsupportedMediaType 415
    │  └─ NotAcceptable      406  the Accept header names no form that the route answers in
    ├─ QueryRejected         400  the guard or the binder refuses the SQL; nothing was read
    ├─ NotAuthenticated      401
    ├─ Forbidden             403
    ├─ NotFound              404
    ├─ MethodNotAllowed      405
    ├─ Conflict              409  what is asked for does not go with what is there
    ├─ CallerLeft            499  the connection was closed: nobody reads this
    ├─ BadHttp               400  the connection's bytes are no HTTP request
    ├─ RequestTimeout        408  a head or a body that comes too slowly
    ├─ HeadersTooLarge       431  a head of more bytes than the service reads
    ├─ RangeNotSatisfiable   416  the file has none of the bytes that are asked for
    ├─ TooManyConnections    503  the service has no room for another connection
    ├─ UnknownHost           421  the Host header names a machine that this service is not
    ├─ RateLimited           429  says when to come back
    ├─ TaskRejected          400  unknown task; 422 kwargs or dates that can't be run
    ├─ ServiceUnavailable    503  another part of the lake (Dagster) does not answer
    │  └─ AnswerLost      503  it was asked, and may have done it all the same
    ├─ UpstreamRejected      502  another part of the lake answered that it will not
    └─ QueryUnavailable      200  a valid query that could not be run: `source: "unavailable"`
                             503  the same, where the rows were wanted as CSV or Arrow

Belongs here: the tree, and the one JSON shape that all of it is told in.
Does not belong here: deciding when one is raised; HTTP wiring (`app`).

Every message is written for the caller: it names no path, key, bucket, host or stack frame.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where in the caller's text something stands; line and column count from 1."""

    offset: int
    line: int
    column: int

    @classmethod
    def at(cls, text: str, offset: int) -> "Position":
        """The position of character `offset` of `text`."""
        offset = max(0, min(offset, len(text)))
        line = text.count("\n", 0, offset) + 1
        return cls(offset=offset, line=line, column=offset - (text.rfind("\n", 0, offset) + 1) + 1)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error answer (`application/problem+json`, RFC 9457)."""

    status: int
    code: str
    title: str
    detail: str
    hint: str | None = None
    fragment: str | None = None
    position: Position | None = None
    field: str | None = None
    retry: bool | None = None
    retry_after_s: int | None = None
    query_id: str | None = None


class LakeError(Exception):
    """What the service tells its caller: `detail` says what was wrong, `hint` what to do."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        fragment: str | None = None,
        position: Position | None = None,
        field: str | None = None,
        retry: bool | None = None,
        retry_after_s: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.hint = hint
        self.fragment = fragment
        self.position = position
        self.field = field
        self.retry = retry
        self.retry_after_s = retry_after_s
        self.http_status = status or self.status
        self.query_id: str | None = None
        self.stages_ms: Mapping[str, float] = {}
        """For the log: what was done before it, and how long the rest took (`failed`)."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}

    def to_problem(self) -> Problem:
        """The one JSON shape."""
        return Problem(
            status=self.http_status,
            code=self.code,
            title=self.title,
            detail=self.detail,
            hint=self.hint,
            fragment=self.fragment,
            position=self.position,
            field=self.field,
            retry=self.retry,
            retry_after_s=self.retry_after_s,
            query_id=self.query_id,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Crosses process borders with everything it knows.
        return (_rebuild, (type(self), self.detail, self.__dict__))


def _rebuild(kind: type[LakeError], detail: str, state: dict[str, Any]) -> LakeError:
    error = kind(detail)
    error.__dict__.update(state)
    return error


class InvalidRequest(LakeError):
    """The body or a parameter has the wrong shape."""

    status = 422
    title = "Invalid request"
    default_code = "invalid_request"


class BodyTooLarge(InvalidRequest):
    """The body has more bytes than the service reads."""

    status = 413
    title = "Body too large"
    default_code = "body_too_large"


class UnsupportedMediaType(InvalidRequest):
    """The body is of a type that the service does not read."""

    status = 415
    title = "Unsupported media type"
    default_code = "unsupported_media_type"


class NotAcceptable(InvalidRequest):
    """The Accept header names no form that the route answers in."""

    status = 406
    title = "Not acceptable"
    default_code = "not_acceptable"


class QueryRejected(LakeError):
    """The guard or the binder refuses the SQL; nothing was read."""

    status = 400
    title = "Query rejected"
    default_code = "query_rejected"


class NotAuthenticated(LakeError):
    """The request carries no valid identity."""

    status = 401
    title = "Not authenticated"
    default_code = "not_authenticated"

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        return {**super().headers, "WWW-Authenticate": 'Bearer realm="lake"'}


class Forbidden(LakeError):
    """The identity is known and may not do this."""

    status = 403
    title = "Forbidden"
    default_code = "forbidden"


class NotFound(LakeError):
    """There is no such thing, or none that the caller may see."""

    status = 404
    title = "Not found"
    default_code = "not_found"


class MethodNotAllowed(LakeError):
    """The route exists, with another method."""

    status = 405
    title = "Method not allowed"
    default_code = "method_not_allowed"

    allowed: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        return {**super().headers, "Allow": ", ".join(self.allowed)}


class Conflict(LakeError):
    """What is asked for does not go with what is there."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class CallerLeft(LakeError):
    """The caller closed the connection before the answer; it is written for the record only."""

    status = 499
    title = "Caller left"
    default_code = "caller_left"


class BadHttp(LakeError):
    """The bytes of a connection are no HTTP request."""

    status = 400
    title = "Bad request"
    default_code = "bad_http"


class RequestTimeout(LakeError):
    """A request's head or body comes too slowly."""

    status = 408
    title = "Request timeout"
    default_code = "request_timeout"


class HeadersTooLarge(LakeError):
    """A request's head has more bytes than the service reads."""

    status = 431
    title = "Request header fields too large"
    default_code = "headers_too_large"


class RangeNotSatisfiable(LakeError):
    """A file has none of the bytes that are asked for."""

    status = 416
    title = "Range not satisfiable"
    default_code = "range_not_satisfiable"

    size_bytes: int = 0

    @classmethod
    def of(cls, size_bytes: int) -> "RangeNotSatisfiable":
        """The error for a file of so many bytes."""
        error = cls(
            f"The file has {size_bytes:,} bytes; the range begins after its end.",
            hint="Ask for bytes from 0 on, or leave the Range header out.",
            field="Range",
        )
        error.size_bytes = size_bytes
        return error

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        return {**super().headers, "Content-Range": f"bytes */{self.size_bytes}"}


class TooManyConnections(LakeError):
    """The service has no room for another connection."""

    status = 503
    title = "Too many connections"
    default_code = "too_many_connections"


class UnknownHost(LakeError):
    """The Host header names a machine that this service is not."""

    status = 421
    title = "Misdirected request"
    default_code = "unknown_host"


class RateLimited(LakeError):
    """The caller asked too often; `retry_after_s` says when to come back."""

    status = 429
    title = "Too many requests"
    default_code = "rate_limited"


class TaskRejected(LakeError):
    """The task is unknown, or can't be run with these arguments."""

    status = 422
    title = "Task rejected"
    default_code = "invalid_kwargs"


class ServiceUnavailable(LakeError):
    """Another part of the lake does not answer."""

    status = 503
    title = "Service unavailable"
    default_code = "service_unavailable"


class AnswerLost(ServiceUnavailable):
    """A request was sent to another part and its answer did not arrive: it may have been done."""


class UpstreamRejected(LakeError):
    """Another part of the lake answered that it will not do this."""

    status = 502
    title = "Refused by another part of the lake"
    default_code = "dagster_rejected"


class QueryUnavailable(LakeError):
    """A valid query could not be run; answered with HTTP 200 and `source: "unavailable"`.

    CSV and Arrow have no place for a reason: where rows were wanted as these, it is a 503.

    Codes: `storage_unavailable`, `query_timeout`, `out_of_memory`, `worker_lost`,
    `query_ends_worker`, `too_busy`, `object_too_large`, `result_too_large`,
    `stored_type_mismatch`, `stored_data_unreadable`, `stored_data_damaged`,
    `cached_data_damaged`, `cache_full`, `cache_unwritable`, `engine_error`.
    """

    status = 200
    title = "Query could not be run"
    default_code = "engine_error"
