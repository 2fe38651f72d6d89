"""Which bytes of a file a request asks for (RFC 9110, 14).

Belongs here: the Range header. Does not belong here: reading bytes (`downloads`).
"""

import re
from dataclasses import dataclass

from lake_api.errors import RangeNotSatisfiable

_RANGE = re.compile(
    r"bytes=\s*(?:(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})|-(?P<suffix>[0-9]{1,18}))\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Some bytes of a file. `is_part` tells whether a range was asked for."""

    start: int
    length: int
    is_part: bool


def requested_span(header: str | None, *, size_bytes: int) -> Span:
    """The bytes that a Range header asks for; all of them where it is none that is understood.

    Several ranges at once are answered with the whole file, as the standard allows.

    Raises:
        RangeNotSatisfiable: the range begins after the end of the file.
    """
    whole = Span(start=0, length=size_bytes, is_part=False)
    found = _RANGE.fullmatch(header) if header is not None else None
    if found is None:
        return whole
    if found["suffix"] is not None:
        start, last = max(0, size_bytes - int(found["suffix"])), size_bytes - 1
    else:
        start = int(found["first"])
        last = int(found["last"]) if found["last"] else size_bytes - 1
        if found["last"] and last < start:
            return whole
    last = min(last, size_bytes - 1)
    if start > last:
        raise RangeNotSatisfiable.of(size_bytes)
    return Span(start=start, length=last - start + 1, is_part=True)
