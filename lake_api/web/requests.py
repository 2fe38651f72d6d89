"""Request bodies, read strictly: JSON only, bounded, exactly the declared fields and types.

Belongs here: the request class of every route.
Does not belong here: what a body means (each domain's `schemas`).
"""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from lake_api.errors import InvalidRequest, UnsupportedMediaType

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
            raise invalid_field(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                "The body is not JSON in UTF-8.", code="malformed_json", status=400
            ) from error

    def _wants_body(self) -> bool:
        handler = self.scope.get("route_handler")
        return getattr(handler, "parsed_data_field", None) is not None


def invalid_field(message: str) -> InvalidRequest:
    """The decoder's complaint as an error that names the field."""
    found = _PATH.search(message)
    path = found["path"] if found else ""
    detail = _PATH.sub("", message)
    named = _QUOTED.search(detail)
    if named:
        path = f"{path}.{named['name']}".lstrip(".")
    return InvalidRequest(f"{path}: {detail}" if path else detail, field=path or None)
