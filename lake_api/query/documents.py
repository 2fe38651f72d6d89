"""Answers in other forms than JSON: what is told beside the rows.

Belongs here: media types, the `X-Lake-…` headers, what an Arrow schema says, the slots in it.
Does not belong here: writing the rows (`worker.csv_rows`, `worker.arrow_rows`).

An Arrow document is written in the worker, and may be kept and given again. What only the call
knows has a slot of fixed length in it, which is filled here: Arrow itself is not loaded in this
process.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from lake_api.query.answers import freshness_of
from lake_api.query.messages import ELAPSED_MS_SLOT, QUERY_ID_SLOT, Form
from lake_api.query.results import Freshness, QueryResult

MEDIA_TYPES: Mapping[Form, str] = {
    Form.JSON: "application/json",
    Form.ARROW: "application/vnd.apache.arrow.stream",
    Form.CSV: "text/csv",
}
"""In the order in which they are preferred where a caller does not mind."""

CONTENT_TYPES: Mapping[Form, str] = {
    **MEDIA_TYPES,
    Form.CSV: "text/csv; header=present",
}

_HEADER_CHARS = 4_000
"""Characters of one header; servers and proxies refuse much longer ones."""


def arrow_metadata(freshness: Sequence[Freshness]) -> dict[str, str]:
    """What an Arrow schema says beside what the worker adds to it."""
    return {
        "lake.query_id": QUERY_ID_SLOT,
        "lake.elapsed_ms": ELAPSED_MS_SLOT,
        "lake.freshness": msgspec.json.encode(freshness_of(freshness)).decode(),
    }


def fill_slots(document: bytes, *, query_id: str, elapsed_ms: float) -> bytes:
    """The document as this call's own; the schema, with its slots, comes first in it."""
    elapsed = f"{elapsed_ms:.3f}".rjust(len(ELAPSED_MS_SLOT))
    # Longer text would move every byte after it.
    if len(query_id) != len(QUERY_ID_SLOT) or len(elapsed) != len(ELAPSED_MS_SLOT):
        raise ValueError("a slot has another length")
    return document.replace(QUERY_ID_SLOT.encode(), query_id.encode(), 1).replace(
        ELAPSED_MS_SLOT.encode(), elapsed.encode(), 1
    )


def answer_headers(result: QueryResult, *, query_id: str, elapsed_ms: float) -> dict[str, str]:
    """What a JSON answer would say beside its rows. Lists are JSON, and may be cut short."""
    return {
        "X-Lake-Query-Id": query_id,
        "X-Lake-Elapsed-Ms": f"{elapsed_ms:.3f}",
        "X-Lake-Row-Count": str(result.row_count),
        "X-Lake-Truncated": "true" if result.truncated else "false",
        "X-Lake-Column-Types": _listed(result.column_types),
        "X-Lake-Freshness": _listed(freshness_of(result.freshness)),
        "X-Lake-Warnings": _listed(result.warnings),
    }


def _listed(items: Iterable[object]) -> str:
    """A JSON array in ASCII of as many items as fit a header."""
    shown: list[str] = []
    left = _HEADER_CHARS
    for item in items:
        text = _ascii(msgspec.json.encode(item).decode())
        left -= len(text) + 1
        if left < 0:
            break
        shown.append(text)
    return f"[{','.join(shown)}]"


def _ascii(text: str) -> str:
    """JSON text with escapes in place of what a header can't carry."""
    return "".join(one if " " <= one <= "~" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
