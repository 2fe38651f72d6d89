"""Parts that end, over and over: real processes, and a watch that never gives up."""

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from lake_api.stack import parts as parts_module
from lake_api.stack.errors import StackError
from lake_api.stack.parts import Part, Watch, pause
from lake_api.stack.process import Child, Launch
from tests.stack.conftest import Eventually

Start = Callable[[], Child]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    started: list[Child] = []

    def start(name: str) -> Child:
        argv = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
        log = tmp_path / f"{name}.log"
        child = Child(Launch(name=name, argv=argv, env={}, cwd=tmp_path, log=log))
        started.append(child)
        return child

    yield start
    for child in started:
        child.stop(grace_s=0.1)


class Asking:
    """Somebody who may want what is down to be started at once."""

    def __init__(self) -> None:
        self.wanted = False

    def __call__(self) -> bool:
        wanted, self.wanted = self.wanted, False
        return wanted


Watched = Callable[..., AbstractContextManager[Asking]]


@pytest.fixture
def watched() -> Watched:
    @contextmanager
    def watching(*parts: Part, lines: list[str] | None = None) -> Generator[Asking]:
        stopping, asking = threading.Event(), Asking()
        say = [].append if lines is None else lines.append
        watch = Watch(parts, on_change=lambda: None, asked=asking, say=say)
        thread = threading.Thread(target=watch.run, args=(stopping,))
        thread.start()
        try:
            yield asking
        finally:
            stopping.set()
            thread.join()

    return watching


def running(start: Start, *, name: str = "part") -> Part:
    return Part(name=name, start=start, child=start(), state="running")


def kill(part: Part) -> None:
    assert part.child is not None
    psutil.Process(part.child.pid).kill()


def test_pauses_grow_up_to_a_minute() -> None:
    assert [pause(failures) for failures in (0, 1, 2, 3, 6, 7, 5_000)] == [0, 1, 3, 7, 60, 60, 60]


def test_a_part_is_started_again_however_often_it_ends(
    sleeper: Callable[[str], Child],
    watched: Watched,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts_module, "LONGEST_PAUSE_S", 0.0)
    part = running(lambda: sleeper("part"))
    lines: list[str] = []
    with watched(part, lines=lines):
        for number in range(1, 7):
            kill(part)
            assert eventually(lambda: part.ends == number and part.state == "running")  # noqa: B023
    state = part.describe()
    assert (state.ends, state.attempts) == (6, 6)
    assert state.reason == "ended by itself (exit code -9)"
    assert lines.count("part runs again") == 6


def test_a_start_that_fails_is_tried_again_and_holds_up_nobody(
    sleeper: Callable[[str], Child],
    watched: Watched,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts_module, "LONGEST_PAUSE_S", 0.0)
    is_open = threading.Event()
    failures: list[Exception] = [StackError("port 1 is taken"), OSError("disk full")]

    def start_late() -> Child:
        if part.child is not None and failures:
            raise failures.pop(0)
        if part.child is not None:
            assert is_open.wait(60)
        return sleeper("slow")

    part = Part(name="slow", start=start_late)
    part.child, part.state = sleeper("slow"), "running"
    other = running(lambda: sleeper("other"), name="other")
    with watched(part, other):
        kill(part)
        assert eventually(lambda: part.attempts == 3)
        assert part.describe().reason == "can't be started: disk full"
        assert part.describe().is_down
        # While that start hangs, the other part comes back.
        kill(other)
        assert eventually(lambda: other.ends == 1 and other.state == "running")
        assert part.describe().pid is None
        is_open.set()
        assert eventually(lambda: part.state == "running")
    assert part.describe().pid is not None


def test_a_wish_ends_the_pause(
    sleeper: Callable[[str], Child], watched: Watched, eventually: Eventually
) -> None:
    part = running(lambda: sleeper("part"))
    part.failures = 20  # the next pause is a minute
    with watched(part) as asking:
        kill(part)
        assert eventually(lambda: part.describe().next_try_at is not None)
        assert part.state == "restarting"
        asking.wanted = True
        assert eventually(lambda: part.state == "running")
    assert part.attempts == 1


def test_after_a_steady_run_the_pause_is_none_again(
    sleeper: Callable[[str], Child],
    watched: Watched,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts_module, "STEADY_S", 0.0)
    part = running(lambda: sleeper("part"))
    part.failures = 20
    with watched(part):
        kill(part)
        assert eventually(lambda: part.ends == 1 and part.state == "running")
    assert part.failures == 1
