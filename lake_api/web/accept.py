"""Which of the forms that a route can answer in a caller wants (RFC 9110, 12.5.1).

Belongs here: reading the Accept header.
Does not belong here: what the forms are.
"""

from collections.abc import Sequence


def preferred(accept: str | None, offered: Sequence[str]) -> str | None:
    """The media type of `offered` that the header prefers, or None when it takes none of them.

    Without a header the first is taken; so it is among those that are wanted equally. Parameters
    of a media range other than `q` are not told apart.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_read(part) for part in accept.split(",") if part.strip()]
    best, best_quality = None, 0.0
    for media_type in offered:
        quality = _quality(media_type, ranges)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most exact range that names the type; 0 when none does."""
    kind = media_type.partition("/")[0]
    for named in (media_type, f"{kind}/*", "*/*"):
        qualities = [quality for text, quality in ranges if text == named]
        if qualities:
            return max(qualities)
    return 0.0


def _read(part: str) -> tuple[str, float]:
    """A media range and its quality; one that can't be read is not wanted."""
    text, *parameters = (piece.strip() for piece in part.lower().split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            quality = _number(value.strip())
    return text, quality


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
