"""What tests of processes share."""

import time
from collections.abc import Callable

import psutil
import pytest

Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def eventually() -> Eventually:
    """Whether a condition comes to hold within a minute, which a busy machine may need."""

    def wait(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    return wait


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    """Whether a process has ended; one that nobody has collected yet has ended too."""

    def gone(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return gone
