"""Request bodies, read strictly: JSON only, bounded, exactly the declared fields and types.

Belongs here: the request class of every route.
Does not belong here: what a body means (each domain's `schemas`).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from lake_api.errors import InvalidRequest, UnsupportedMediaType
from lake_api.nearest import nearest

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_QUOTED = re.compile(r"(?:unknown|required) field `(?P<name>[^`]+)`")


class LakeRequest(Request[Any, Any, Any]):
    """Decodes a route's body straight into its declared struct.

    The framework converts loosely (`"10"` would pass as a number) and keeps no field names of
    what it does not know; here the declared type decides, and the answer names the field.
    """

    async def body(self) -> bytes:
        """The body's bytes, once its type is known to be JSON where the route wants a body."""
        if self._wants_body():
            media_type = self.content_type[0].lower()
            if media_type != "application/json":
                raise UnsupportedMediaType(
                    "The body must be JSON.",
                    hint="Send the header Content-Type: application/json.",
                )
        try:
            content = await super().body()
        except InternalServerException as error:
            # It is the framework's word for a caller that went away in the middle of it.
            raise InvalidRequest(
                "The body ended before it was whole.", code="body_incomplete", status=400
            ) from error
        if self._wants_body() and not content.strip():
            raise InvalidRequest("The body is empty.", code="malformed_json", status=400)
        return content

    async def json(self) -> Any:
        """The body as the struct that the route declares.

        Raises:
            InvalidRequest: it is no JSON, or not the declared fields and types.
        """
        content = await self.body()
        if not self._wants_body():
            return await super().json()
        declared: Any = self.route_handler.parsed_data_field
        try:
            return msgspec.json.decode(content, type=declared.annotation)
        except msgspec.ValidationError as error:
            try:
                given = msgspec.json.decode(content)
            except ValueError:
                # A number that no type holds; the first error names its field.
                raise invalid_field(str(error), declared.annotation) from error
            return read_fields(given, declared.annotation)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(
                "The body is not JSON in UTF-8.", code="malformed_json", status=400
            ) from error

    def _wants_body(self) -> bool:
        handler = self.scope.get("route_handler")
        return getattr(handler, "parsed_data_field", None) is not None


def read_fields(given: Any, shape: Any) -> Any:
    """What a caller sent as the struct `shape`, read as models write it.

    A field that is null was not given: servers of models with strict schemas send every field.
    A whole number may be written as 10.0.

    Raises:
        InvalidRequest: it is still not the declared fields and types.
    """
    if isinstance(given, dict):
        fields: dict[str, Any] = given
        given = {name: _whole(value) for name, value in fields.items() if value is not None}
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error), shape) from error


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_MEANT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "sql": frozenset({"query", "q", "statement", "sql_query", "text", "question"}),
        "limit": frozenset({"max_rows", "rows", "row_limit", "n", "top", "page_size"}),
        "max_rows": frozenset({"limit", "rows", "row_limit"}),
        "name": frozenset({"dataset", "table", "table_name", "dataset_name"}),
    }
)
"""Names that callers send, by the field that they mean."""


def _hint(path: str, detail: str, shape: Any) -> str | None:
    fields = getattr(shape, "__struct_encode_fields__", ())
    if path == "sql" and "length >=" in detail:
        return "SELECT 1 AS a passes: the SQL is a whole SELECT with at least that many characters."
    if path == "sql" and "length <=" in detail:
        return "Select fewer columns by name, or split the question into several queries."
    if "unknown field" in detail and fields:
        known = f"The fields are {', '.join(fields)}."
        sent = path.lower()
        meant = [one for one, names in _MEANT.items() if sent in names and one in fields]
        meant = meant or list(nearest(sent, fields, count=1))
        return f"Did you mean `{meant[0]}`? {known}" if meant else known
    if "Expected `int`, got `float`" in detail:
        return "Send a whole number, such as 10."
    return None


def invalid_field(message: str, shape: Any = None) -> InvalidRequest:
    """The decoder's complaint as an error that names the field."""
    found = _PATH.search(message)
    path = found["path"] if found else ""
    detail = _PATH.sub("", message)
    named = _QUOTED.search(detail)
    if named:
        path = f"{path}.{named['name']}".lstrip(".")
    return InvalidRequest(
        f"{path}: {detail}" if path else detail,
        field=path or None,
        hint=_hint(path, detail, shape),
    )
