"""What can go wrong while the parts are started.

Belongs here: the one error type of this folder.
Does not belong here: errors of HTTP callers (`lake_api.errors`).
"""


class StackError(Exception):
    """A part could not be started or found; `hint` says what to do, `log` shows its last lines."""

    def __init__(self, message: str, *, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log
