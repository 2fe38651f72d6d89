"""Answers that fit a context window.

Belongs here: cutting the list that an answer is mostly made of, and saying so.
Does not belong here: how many rows a route answers (each route), what a tool is (`tools`).
"""

from collections.abc import Sequence

import msgspec

from lake_api.errors import QueryUnavailable

_ROOM_FOR_THE_NOTE = 400


def fitted(
    content: bytes,
    *,
    item_list: str,
    max_chars: int,
    advice: str,
    is_page: bool = False,
    without: Sequence[str] = (),
) -> str:
    """A route's answer as JSON of at most `max_chars` characters.

    Args:
        content: the answer; values are copied as they stand in it.
        item_list: the field whose items are left out from the end when they do not fit.
        max_chars: the most that it may be.
        advice: how to ask so that everything fits.
        is_page: what it counts is more than its items, and stays as it is.
        without: fields that are left out always.

    Raises:
        QueryUnavailable: it does not fit without any item either (`result_too_large`).
    """
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    for name in without:
        fields.pop(name, None)
    text = _json(fields)
    if len(text) <= max_chars:
        return text
    items = msgspec.json.decode(fields.get(item_list, b"[]"), type=list[msgspec.Raw])
    fields[item_list] = _raw([])
    shown = _that_fit(items, max_chars - len(_json(fields)) - _ROOM_FOR_THE_NOTE)
    fields[item_list] = _raw(items[:shown])
    if not is_page and "row_count" in fields:
        fields["row_count"] = _raw(shown)
        fields["truncated"] = _raw(True)
    fields["note"] = _raw(
        f"Only {shown} of {len(items)} {item_list} fit into {max_chars} characters. {advice}"
    )
    text = _json(fields)
    if len(text) > max_chars:
        raise QueryUnavailable(
            f"The answer has more than {max_chars} characters.",
            code="result_too_large",
            hint=advice,
        )
    return text


def cut(page: str, max_chars: int) -> str:
    """A text of at most `max_chars` characters, which says so where it ends early."""
    if len(page) <= max_chars:
        return page
    note = f"\n\n(Cut here: the page has {len(page)} characters.)\n"
    return page[: max(0, max_chars - len(note))] + note


def _that_fit(items: Sequence[msgspec.Raw], left: int) -> int:
    for place, item in enumerate(items):
        left -= len(_json(item)) + 1
        if left < 0:
            return place
    return len(items)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
