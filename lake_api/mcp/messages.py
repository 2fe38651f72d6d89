"""Whether a message is one of the protocol, told in our own words where it is not.

Belongs here: the outer shape of messages, and the parameters of the methods that are served.
Does not belong here: arguments of tools (`calls`), what a method answers (`server`).

The protocol's library refuses the same messages with the texts of its validator, which name its
classes and not what to send.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lake_api.errors import InvalidRequest
from lake_api.web.requests import invalid_field

_INVALID_PARAMS = -32602
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")
_EXAMPLE = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'


class _List(msgspec.Struct, frozen=True):
    cursor: str | None = None


class _Call(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, Any] | None = None


class _Read(msgspec.Struct, frozen=True):
    uri: str


class _Client(msgspec.Struct, frozen=True):
    name: str
    version: str


class _Initialize(msgspec.Struct, frozen=True, rename="camel"):
    protocol_version: str
    capabilities: dict[str, Any]
    client_info: _Client


_PARAMS: Mapping[str, type[msgspec.Struct]] = {
    "initialize": _Initialize,
    "tools/list": _List,
    "tools/call": _Call,
    "resources/list": _List,
    "resources/templates/list": _List,
    "resources/read": _Read,
}
_ADVICE: Mapping[str, str] = {
    "initialize": "Send params with protocolVersion, capabilities and clientInfo.",
    "tools/call": 'Send params as {"name": "lake_query", "arguments": {"sql": "SELECT …"}}.',
    "resources/read": 'Send params as {"uri": "lake://datasets/NAME"}.',
}


def check_message(message: Any) -> None:
    """Nothing, when the message has the shape that the protocol wants.

    Raises:
        InvalidRequest: it has not.
    """
    if isinstance(message, list):
        raise _no_message("The body is a batch; this server takes one message per request.")
    if not isinstance(message, dict):
        raise _no_message("The body is no JSON object.")
    fields: dict[str, Any] = message
    if fields.get("jsonrpc") != "2.0":
        raise _no_message('`jsonrpc` is not "2.0".', field="jsonrpc")
    identity = fields.get("id")
    if "id" in fields and (isinstance(identity, bool) or not isinstance(identity, int | str)):
        raise _no_message("`id` is neither a text nor a whole number.", field="id")
    if "method" not in fields and ("result" in fields or "error" in fields):
        return  # an answer, which the protocol has too
    method = fields.get("method")
    if not isinstance(method, str):
        raise _no_message("`method` is missing or no text.", field="method")
    _check_params(method, fields.get("params"))


def _check_params(method: str, params: Any) -> None:
    if params is not None and not isinstance(params, dict):
        raise _bad_params("`params` is no object.", method=method, field="params")
    shape = _PARAMS.get(method)
    if shape is None:
        return
    try:
        read = msgspec.convert(params or {}, shape)
    except msgspec.ValidationError as error:
        found = invalid_field(str(error), shape)
        field = f"params.{found.field}" if found.field else "params"
        detail = found.detail.partition(": ")[2] if found.field else found.detail
        raise _bad_params(
            f"`{field}`: {detail or found.detail}", method=method, field=field
        ) from error
    if isinstance(read, _Read) and not _URI.fullmatch(read.uri):
        raise _bad_params("`params.uri` is no URI.", method=method, field="params.uri")


def protocol_error(message: Any, error: InvalidRequest) -> bytes:
    """The protocol's answer to a message that is refused; `data` is the problem of all routes."""
    identity = message.get("id") if isinstance(message, dict) else None
    is_usable = isinstance(identity, int | str) and not isinstance(identity, bool)
    problem = error.to_problem()
    return msgspec.json.encode(
        {
            "jsonrpc": "2.0",
            "id": identity if is_usable else None,
            "error": {"code": _INVALID_PARAMS, "message": _whole(problem), "data": problem},
        }
    )


def _whole(problem: Any) -> str:
    # Clients show the message alone.
    return f"{problem.detail} {problem.hint}" if problem.hint else problem.detail


def _no_message(detail: str, *, field: str | None = None) -> InvalidRequest:
    return InvalidRequest(
        detail,
        code="invalid_message",
        status=400,
        field=field,
        hint=f"Send one JSON-RPC 2.0 message, such as {_EXAMPLE}.",
    )


def _bad_params(detail: str, *, method: str, field: str) -> InvalidRequest:
    return InvalidRequest(
        detail, code="invalid_params", status=400, field=field, hint=_ADVICE.get(method)
    )
