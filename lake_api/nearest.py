"""Which known names a caller may have meant.

Belongs here: the one measure of nearness for names in hints.
Does not belong here: deciding which names a caller may be shown.
"""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> tuple[str, ...]:
    """The names of `known` that look most like `name`, best first; may be empty."""
    return tuple(difflib.get_close_matches(name.lower(), list(known), n=count, cutoff=0.5))


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """A hint that offers the nearest names, or `otherwise` when nothing is near."""
    found = nearest(name, known)
    if not found:
        return otherwise
    return f"Did you mean {' or '.join(f'`{one}`' for one in found)}?"
