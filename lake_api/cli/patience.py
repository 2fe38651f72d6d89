"""How long a command that only looks goes on without an answer.

Belongs here: which failures to answer pass by themselves, and when to give up on them.
Does not belong here: what is looked at (`trigger`, `jobs`); launches (`dagster_http`).
"""

import time

from lake_api.cli.failure import CommandFailed
from lake_api.cli.problem import ProblemAnswer

_SILENCE_S = 120.0
_PAUSE_S = 1.0
_UNAVAILABLE = 503


class NoAnswer(CommandFailed):
    """The service could not be reached, or was too busy to answer in time."""


class Patience:
    """Forgives looks without an answer until there was none for `silence_s`.

    What is looked at goes on all the same, so that one busy moment must not end the looking.
    """

    def __init__(self, *, silence_s: float = _SILENCE_S) -> None:
        self._silence_s = silence_s
        self._heard = time.monotonic()

    def heard(self) -> None:
        """There was an answer."""
        self._heard = time.monotonic()

    def wait_after(self, error: CommandFailed) -> None:
        """Pause before the next look.

        Raises:
            CommandFailed: the error, where it does not pass by itself or has lasted too long.
        """
        if not _passes(error) or time.monotonic() - self._heard > self._silence_s:
            raise error
        time.sleep(_PAUSE_S)


def _passes(error: CommandFailed) -> bool:
    if isinstance(error, ProblemAnswer):
        return error.problem.status == _UNAVAILABLE and bool(error.problem.retry)
    return isinstance(error, NoAnswer)
