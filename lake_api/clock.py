"""The current time, where a test can put its own.

Belongs here: the type, and the real one. Does not belong here: durations (`time.monotonic`).
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)
