"""The corpora of the guard, as cases.

A case starts with a line `-- code: <code>` or `-- query: <title>` and goes on to the next such
line. `<U+XXXX>` stands for that character, so that the files hold no invisible ones.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "guard"
_HEADER = re.compile(r"^-- (?:code|query): (.+)\n", re.MULTILINE)
_CHARACTER = re.compile(r"<U\+([0-9A-F]{4,6})>")


@dataclass(frozen=True)
class Case:
    """One text of a corpus; `label` is its expected code or its title."""

    label: str
    sql: str
    number: int

    def __str__(self) -> str:
        return f"{self.number}-{self.label}".replace(" ", "-")


def read_cases(name: str) -> list[Case]:
    """The cases of one file."""
    parts = _HEADER.split((FIXTURES / name).read_text(encoding="utf-8"))
    return [
        Case(label.strip(), _CHARACTER.sub(_character, text.removesuffix("\n")), number)
        for number, (label, text) in enumerate(zip(parts[1::2], parts[2::2], strict=True), 1)
    ]


def _character(match: re.Match[str]) -> str:
    return chr(int(match.group(1), 16))


ALLOWED = read_cases("allowed.sql")
REJECTED = read_cases("rejected.sql")
