"""SEC EDGAR's two hosts, asked as the SEC wants it.

Belongs here: where things are, who we say we are, what absence and being blocked look like.
Does not belong here: which filings there are (`sec_index`), what is in them (`sec_form_d`,
`sec_filings`, `sec_xbrl`).

**Traps.** Ten requests a second over all hosts are allowed. Who asks faster, or names no contact as
`User-Agent`, gets an HTML page with status 403, for ten minutes. A missing file is a 404, or in the
archives a 403 too: with `AccessDenied` in XML.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from lake_assets.sources.answers import JSON, Answer, Refused, decoded, exactly
from lake_assets.sources.collect import Ask
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.watching import WATCH

Shape = TypeVar("Shape")

PUBLIC_ARCHIVES = "https://www.sec.gov/Archives"
"""Where people find what a row is about, wherever it was read from."""

_MOST_BYTES = 256 * 1024 * 1024


class Edgar:
    """What EDGAR has; None stands for what is not there.

    Raises:
        SourceMismatch: `SEC_USER_AGENT` names no contact.
    """

    def __init__(self, ask: Ask) -> None:
        self._http = ask.http
        self._web = ask.settings["SEC_BASE_URL"]
        self._data = ask.settings["SEC_DATA_BASE_URL"]
        self._headers = {"user-agent": ask.settings["SEC_USER_AGENT"]}
        if "@" not in self._headers["user-agent"]:
            raise SourceMismatch("SEC_USER_AGENT has no mail address; the SEC blocks such askers")

    def file(
        self, path: str, *, kinds: Sequence[str], parse: Callable[[Answer], Shape]
    ) -> Shape | None:
        """What `parse` makes of a file on the web host."""
        return self._read(f"{self._web}/{path}", kinds, parse)

    def json(self, path: str, into: type[Shape]) -> Shape | None:
        """A JSON document on the web host, asked for once per run."""
        return self._remembered(f"{self._web}/{path}", into)

    def data(self, path: str, into: type[Shape]) -> Shape | None:
        """A JSON document on the data host, asked for once per run."""
        return self._remembered(f"{self._data}/{path}", into)

    def large_data(self, path: str, into: type[Shape]) -> Shape | None:
        """A JSON document on the data host that is too large to be kept for the run."""
        return self._read(f"{self._data}/{path}", JSON, lambda answer: decoded(answer, into))

    def _remembered(self, url: str, into: type[Shape]) -> Shape | None:
        return _found(
            lambda: self._http.find_json(url, into=into, headers=self._headers, remember=True)
        )

    def _read(
        self, url: str, kinds: Sequence[str], parse: Callable[[Answer], Shape]
    ) -> Shape | None:
        return _found(
            lambda: self._http.read(
                url,
                kinds=kinds,
                parse=parse,
                headers=self._headers,
                absent=(404,),
                max_bytes=_MOST_BYTES,
            )
        )


def part(text: msgspec.Raw, into: type[Shape], what: str) -> Shape:
    """A part of a document that was left as text when the document was read.

    Raises:
        SourceMismatch: it does not have that shape; the message says of `what`.
    """
    if watch := WATCH.get():
        watch.document(bytes(text), into)
    try:
        return exactly(text, into)
    except msgspec.ValidationError as error:
        raise SourceMismatch(f"{what}: not in the expected shape: {error}") from error


def _found(ask: Callable[[], Shape | None]) -> Shape | None:
    try:
        return ask()
    except Refused as refusal:
        if refusal.status == 403 and "AccessDenied" in refusal.text:
            return None
        if refusal.status == 403 and "HTML" in refusal.text:
            raise SourceUnavailable(
                f"{refusal}; it does so for ten minutes after more than 10 requests a second, and "
                "while SEC_USER_AGENT names no contact"
            ) from refusal
        raise
