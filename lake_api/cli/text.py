"""Text of strangers on a terminal.

Belongs here: making characters harmless and knowing how wide they are.
Does not belong here: tables (`tables`).
"""

from rich.cells import cell_len


def visible(text: str) -> str:
    r"""The text with everything that a terminal would obey written out: `\x1b`, `\n`, `\u202e`.

    Rows hold what agents and their users wrote; none of it may move the cursor or turn the
    reading direction.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def cell_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return cell_len(text)
