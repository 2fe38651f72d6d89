"""Parts that run: started again for as long as the stack lives, whatever ended them.

Belongs here: one part's state, when it is started again, and who may ask for it at once.
Does not belong here: how a part is started (`supervisor`), the processes themselves (`process`).

Each part that is down is started by a thread of its own: one that does not get ready for minutes
keeps no other one down.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lake_api.stack.errors import StackError
from lake_api.stack.process import Child
from lake_api.stack.state import PartState

LONGEST_PAUSE_S = 60.0
STEADY_S = 120.0
"""After so long a run, the next end is the first of its kind."""
_WATCH_S = 0.5


@dataclass(slots=True, kw_only=True)
class Part:
    """One part: how it is started, and the process that it is now.

    `ends` and `attempts` only grow: how often its process ended by itself, and how often it was
    started again. `failures` counts what failed since it last ran well, and decides the pause.
    """

    name: str
    start: Callable[[], Child]
    child: Child | None = None
    state: str = "starting"
    ends: int = 0
    attempts: int = 0
    failures: int = 0
    reason: str | None = None
    running_since: float = 0.0
    next_try: float = 0.0
    is_wanted_now: bool = False
    starter: threading.Thread | None = None

    def describe(self) -> PartState:
        """What is written down about it."""
        wait_s = self.next_try - time.monotonic()
        is_waiting = self.state == "restarting" and self.starter is None
        next_try = datetime.now(tz=UTC) + timedelta(seconds=max(0.0, wait_s))
        return PartState(
            name=self.name,
            state=self.state,
            pid=self.child.pid if self.child and self.state == "running" else None,
            log=str(self.child.launch.log) if self.child else None,
            ends=self.ends,
            attempts=self.attempts,
            reason=self.reason,
            next_try_at=next_try.isoformat(timespec="seconds") if is_waiting else None,
        )


class Watch:
    """Starts parts again that ended, until it is told to stop.

    `on_change` is called after each change of a part; `asked` says, once per time, that somebody
    wants every part that is down to be tried at once.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        on_change: Callable[[], None],
        asked: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._parts = parts
        self._on_change = on_change
        self._asked = asked
        self._say = say
        self._changing = threading.Lock()

    def run(self, stopping: threading.Event) -> None:
        """Return when `stopping` is set; a start under way then is left to the guardian."""
        for part in self._parts:
            part.running_since = time.monotonic()
        while not stopping.wait(_WATCH_S):
            is_asked = self._asked()
            changed = [self._look_at(part, stopping, is_asked=is_asked) for part in self._parts]
            if any(changed):
                self._on_change()

    def _look_at(self, part: Part, stopping: threading.Event, *, is_asked: bool) -> bool:
        """Note whether it ended, and begin to start it where it is time; whether it changed."""
        with self._changing:
            has_ended = False
            if part.state == "running" and part.child is not None:
                code = part.child.exit_code
                if code is None:
                    return False
                self._note_end(part, code)
                has_ended = True
            if part.state != "restarting":
                return False
            part.is_wanted_now = part.is_wanted_now or is_asked
            is_due = part.is_wanted_now or time.monotonic() >= part.next_try
            if part.starter is not None or not is_due:
                return has_ended
            part.is_wanted_now = False
            part.attempts += 1
            part.starter = threading.Thread(
                target=self._start, args=(part, stopping), name=f"start-{part.name}", daemon=True
            )
            part.starter.start()
            return True

    def _note_end(self, part: Part, code: int) -> None:
        if time.monotonic() - part.running_since >= STEADY_S:
            part.failures = 0
        part.ends += 1
        part.state = "restarting"
        self._note_failure(part, f"ended by itself (exit code {code})")

    def _note_failure(self, part: Part, reason: str) -> None:
        part.reason = reason
        pause_s = pause(part.failures)
        part.failures += 1
        part.next_try = time.monotonic() + pause_s
        when = f"in {pause_s:.0f} s" if pause_s else "now"
        self._say(f"{part.name}: {reason}; it is started again {when}")

    def _start(self, part: Part, stopping: threading.Event) -> None:
        """One try, in a thread of its own."""
        child, reason = None, ""
        try:
            if part.child is not None:
                part.child.stop()  # what it left behind
            child = part.start()
        except StackError as error:
            reason = error.message
        except Exception as error:  # noqa: BLE001 - a full disk, say; it is tried again
            reason = f"can't be started: {error or type(error).__name__}"
        with self._changing:
            part.starter = None
            if child is None:
                self._note_failure(part, reason)
            else:
                part.child, part.state = child, "running"
                part.running_since = time.monotonic()
                self._say(f"{part.name} runs again")
        if stopping.is_set() and child is not None:
            child.stop()
            return
        self._on_change()


def pause(failures: int) -> float:
    """How long to wait after so many failures in a row: 0, 1, 3, 7 … seconds, a minute at most."""
    return min(LONGEST_PAUSE_S, 2.0 ** min(failures, 10) - 1)
