"""A refusal of the service, as a person reads it.

Belongs here: the message, its code and hint, and the caret below the place in the text.
Does not belong here: what was asked (`client`).
"""

from collections.abc import Generator
from contextlib import contextmanager

import click

from lake_api.cli.failure import CommandFailed
from lake_api.cli.text import cell_width, visible
from lake_api.doors import Door, in_words_of
from lake_api.errors import Problem

_CONTEXT_CHARS = 60
_NO_HINT = "`lake datasets` lists tables; `lake COMMAND --help` tells what a command takes."


class ProblemAnswer(CommandFailed):
    """The service refused; `body` is the `application/problem+json` as it came."""

    def __init__(self, problem: Problem, body: bytes) -> None:
        super().__init__(
            f"{visible(problem.detail)} [{problem.code}]",
            hint=visible(in_words_of(Door.COMMAND, problem.hint or _again(problem) or _NO_HINT)),
        )
        self.problem = problem
        self.body = body

    def point_into(self, sql: str) -> None:
        """Show where in the text it is, if the service said so."""
        if self.problem.position is not None:
            self.details = caret(
                sql,
                line=self.problem.position.line,
                column=self.problem.position.column,
                length=len(self.problem.fragment or " "),
            )


@contextmanager
def refusals(*, as_json: bool, sql: str = "") -> Generator[None]:
    """What the service refuses in the block: pointed at in the SQL, and told as JSON if wanted."""
    try:
        yield
    except ProblemAnswer as refusal:
        refusal.point_into(sql)
        if as_json:
            click.echo(refusal.body)
        raise


def caret(sql: str, *, line: int, column: int, length: int) -> str:
    """The line with carets below `length` characters from `column` on; both count from 1."""
    lines = sql.split("\n")
    if line > len(lines):
        return ""
    text = lines[line - 1]
    start = min(column - 1, len(text))
    end = min(start + max(length, 1), len(text))
    first = max(0, start - _CONTEXT_CHARS)
    last = min(len(text), end + _CONTEXT_CHARS)
    before = ("… " if first else "") + visible(text[first:start])
    marked = visible(text[start:end])
    after = visible(text[end:last]) + (" …" if last < len(text) else "")
    carets = "^" * max(1, cell_width(marked))
    return f"    {before}{marked}{after}\n    {' ' * cell_width(before)}{carets}"


def _again(problem: Problem) -> str | None:
    if problem.retry_after_s is not None:
        return f"Try again in {problem.retry_after_s} s."
    return "Try again." if problem.retry else None
