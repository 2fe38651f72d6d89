"""Judging what a source answered: data, no such thing, try again, or broken.

Belongs here: checks of status, content type and size, `Retry-After`, decoding into a shape.
Does not belong here: sending requests and trying again (`http`).
"""

import email.utils
import re
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, TypeVar

import httpx
import msgspec

from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.watching import WATCH

Shape = TypeVar("Shape")
Transient = Callable[[int, str], bool]
"""Whether an answer (status, start of its text) is worth another try, though it says otherwise."""

JSON = ("json",)
CSV = ("csv", "text/plain", "octet-stream", "excel")
XML = ("xml",)
TEXT = ("text/plain", "octet-stream")
"""Words of which one must stand in the content type of an answer."""

_OK = 200
_NOT_MODIFIED = 304
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_SPOOL_BYTES = 8 * 1024 * 1024
_EXCERPT_BYTES = 2_000
_EXCERPT_CHARS = 200
_UNIX_S = 1_000_000_000
"""From here on a number is a moment in Unix seconds; below, some write how long to wait."""
_CLOCKS_DIFFER_S = 1.0
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]+)?")
_HTML_STARTS = (b"<!doctype html", b"<html")


class Unanswered(SourceUnavailable):
    """No attempt was answered with data; `status` is that of the last answer, 0 if none came."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class AskAgain(Unanswered):
    """An attempt that may be made again, after `wait_s` if the source said so."""

    def __init__(self, message: str, *, wait_s: float | None = None, status: int = 0) -> None:
        super().__init__(message, status=status)
        self.wait_s = wait_s


class Refused(SourceMismatch):
    """The source answered with an error; `status` and `text` let a collector tell which."""

    def __init__(self, message: str, *, status: int, text: str) -> None:
        super().__init__(message)
        self.status = status
        self.text = text


class Moved(SourceMismatch):
    """The source answered with a redirect, which is not followed; `location` is where to."""

    def __init__(self, message: str, *, location: str) -> None:
        super().__init__(message)
        self.location = location


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One request, and what is accepted as its answer. `where` is how errors call it."""

    method: str
    url: str
    where: str
    params: Mapping[str, str | int]
    headers: Mapping[str, str]
    body: object
    kinds: Sequence[str]
    absent: Collection[int]
    transient: Transient
    max_bytes: int
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole, checked answer. `unchanged` is a 304 to a conditional request, without a body."""

    status: int
    headers: Mapping[str, str]
    body: IO[bytes]
    where: str

    @property
    def unchanged(self) -> bool:
        """Whether the source says that the asker has the newest version."""
        return self.status == _NOT_MODIFIED


def judged(response: httpx.Response, wanted: Wanted, *, now: datetime) -> Answer | None:
    """The whole answer, or None for a status that means absence.

    Raises:
        AskAgain: the source is busy, or the body broke off.
        SourceMismatch: the answer is no data.
        httpx.HTTPError: the connection broke.
    """
    status, where = response.status_code, wanted.where
    if status in wanted.absent:
        return None
    if response.is_redirect and status != _NOT_MODIFIED:
        location = response.headers.get("location", "")
        target = location.partition("?")[0] or "elsewhere"
        raise Moved(
            f"{where}: HTTP {status} sends us to {target} instead of answering; redirects are not "
            "followed, because they often lead to a page for people",
            location=location,
        )
    conditional = {"if-none-match", "if-modified-since"} & {name.lower() for name in wanted.headers}
    if status != _OK and not (status == _NOT_MODIFIED and conditional):
        raise _refusal(response, wanted, now)
    answer = Answer(
        status=status, headers=response.headers, body=_spooled(response, wanted), where=where
    )
    if not answer.unchanged:
        _refuse_wrong_kind(answer, wanted)
    return answer


def decoded(answer: Answer, into: type[Shape]) -> Shape:
    """The JSON body in the declared shape; fields that the shape does not name are left out.

    Raises:
        AskAgain: the body is no whole JSON document.
        SourceMismatch: a field is missing or of another type; the message names it.
    """
    with answer.body:
        body = answer.body.read()
    if watch := WATCH.get():
        watch.document(body, into)
    try:
        return exactly(body, into)
    except msgspec.ValidationError as error:
        raise SourceMismatch(f"{answer.where}: not in the expected shape: {error}") from error
    except msgspec.DecodeError as error:
        raise AskAgain(f"{answer.where}: no whole JSON document came: {error}") from error


def exactly(body: bytes | msgspec.Raw, into: type[Shape]) -> Shape:
    """A JSON document in a shape; where the shape leaves the type open, no number is rounded.

    Raises:
        msgspec.DecodeError: it is no JSON document, or not of that shape.
    """
    return msgspec.json.Decoder(into, float_hook=Decimal).decode(body)


def wait_asked_for(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """The seconds that an answer asks to wait before the next request; None if it says nothing.

    `Retry-After` is a number or a date. Where it is missing and `X-RateLimit-Remaining` is 0, the
    limit starts anew at `X-RateLimit-Reset`, in Unix seconds, as GitHub writes it.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return _until_reset(headers, now)
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _until_reset(headers: Mapping[str, str], now: datetime) -> float | None:
    reset = headers.get("x-ratelimit-reset", "").strip()
    used_up = headers.get("x-ratelimit-remaining", "").strip() == "0"
    if not used_up or not reset.isdecimal() or int(reset) < _UNIX_S:
        return None
    return max(_CLOCKS_DIFFER_S, int(reset) - now.timestamp())


def _refusal(response: httpx.Response, wanted: Wanted, now: datetime) -> AskAgain | Refused:
    status = response.status_code
    text = _excerpt(response)
    said = f"{wanted.where}: HTTP {status}" + (f": {text[:_EXCERPT_CHARS]}" if text else "")
    if status in _TRY_AGAIN or wanted.transient(status, text):
        wait_s = wait_asked_for(response.headers, now=now)
        return AskAgain(said, wait_s=wait_s, status=status)
    if status in {401, 403}:
        said += " (it refuses us: check the key and what it may do)"
    return Refused(said, status=status, text=text)


def _excerpt(response: httpx.Response) -> str:
    """The start of an error's text in one line; a page for people says nothing here."""
    taken = b""
    for chunk in response.iter_bytes():
        taken += chunk
        if len(taken) >= _EXCERPT_BYTES:
            break
    if _is_html(taken):
        return "(an HTML page)"
    return " ".join(taken[:_EXCERPT_BYTES].decode("utf-8", "replace").split())


def _spooled(response: httpx.Response, wanted: Wanted) -> IO[bytes]:
    """The whole body as a file at its start; large ones go to disk."""
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - the answer's own
    started = time.monotonic()
    size_bytes = 0
    try:
        for chunk in response.iter_bytes():
            size_bytes += len(chunk)
            if size_bytes > wanted.max_bytes:
                raise SourceMismatch(
                    f"{wanted.where}: the answer is larger than {wanted.max_bytes:,} bytes"
                )
            if time.monotonic() - started > wanted.total_s:
                raise AskAgain(f"{wanted.where}: no whole answer within {wanted.total_s:g} s")
            spool.write(chunk)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool  # type: ignore[return-value]  # it is a binary file in all but declaration


def _refuse_wrong_kind(answer: Answer, wanted: Wanted) -> None:
    kind = answer.headers.get("content-type", "").lower()
    start = answer.body.read(_EXCERPT_BYTES)
    answer.body.seek(0)
    if _is_html(start) or "html" in kind:
        answer.body.close()
        raise SourceMismatch(
            f"{wanted.where}: HTTP 200 with an HTML page instead of data; it may be in "
            "maintenance, want a key, or have blocked us"
        )
    if not any(word in kind for word in wanted.kinds):
        answer.body.close()
        raise SourceMismatch(
            f"{wanted.where}: came as `{kind or 'nothing said'}`, not as {wanted.kinds[0]}"
        )


def _is_html(start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML_STARTS)
