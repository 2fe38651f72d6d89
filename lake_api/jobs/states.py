"""The states of a job, and which event leads from which to which.

Belongs here: the machine, as data. Does not belong here: storing or doing anything.

    queued ──start──> running ──succeed──> succeeded
      │  ^              │ │
      │  └────retry─────┘ └──fail──> failed
      ├──fail──> failed
      └──cancel──> cancelled   (running as well)
"""

from enum import Enum


class State(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return not any(self in sources for sources, _ in _MOVES.values())


class Event(Enum):
    """What happens to a job."""

    START = "start"
    RETRY = "retry"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


_LIVE = frozenset({State.QUEUED, State.RUNNING})
_MOVES: dict[Event, tuple[frozenset[State], State]] = {
    Event.START: (frozenset({State.QUEUED}), State.RUNNING),
    Event.RETRY: (frozenset({State.RUNNING}), State.QUEUED),
    Event.SUCCEED: (frozenset({State.RUNNING}), State.SUCCEEDED),
    Event.FAIL: (_LIVE, State.FAILED),
    Event.CANCEL: (_LIVE, State.CANCELLED),
}


def sources(event: Event) -> frozenset[State]:
    """The states in which it can happen."""
    return _MOVES[event][0]


def target(event: Event) -> State:
    """The state that it leads to."""
    return _MOVES[event][1]
