"""Which stack a command talks to.

Belongs here: finding the running one, or saying that there is none.
Does not belong here: starting one (`up`).
"""

from lake_api.cli.failure import CommandFailed
from lake_api.stack.state import StackState, default_home, project_root, read_state


def find_running() -> StackState | None:
    """The stack of this checkout (or of `LAKE_STATE_DIR`), or None when it does not run."""
    return read_state(default_home(project_root()))


def require_running() -> StackState:
    """The running stack.

    Raises:
        CommandFailed: nothing runs.
    """
    state = find_running()
    if state is None:
        raise CommandFailed("the lake is not running", hint="`lake up` (or `make up`) starts it.")
    return state
