import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake_api.stack.errors import StackError
from lake_api.stack.process import Child, Launch, child_environment
from tests.stack.conftest import Eventually

# A part that ignores SIGTERM, with a child in another session: what is hardest to end.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
)
pathlib.Path("inner").write_text(str(inner.pid))
time.sleep(600)
"""

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    children: list[Child] = []

    def begin(program: str, **options: object) -> Child:
        launch = Launch(
            name="part",
            argv=[sys.executable, "-c", program],
            env=child_environment({}, {"PATH": os.defpath}),
            cwd=tmp_path,
            log=tmp_path / "part.log",
            **options,
        )
        children.append(Child(launch))
        return children[-1]

    yield begin
    for child in children:
        child.stop(grace_s=0.1)


def test_a_part_that_ignores_its_signal_is_killed_with_all_that_it_started(
    start: Start, tmp_path: Path, is_gone: Callable[[int], bool]
) -> None:
    child = start(STUBBORN)
    note = tmp_path / "inner"
    child.wait_until(lambda: note.exists() and note.read_text() != "", timeout_s=10)
    inner = int(note.read_text())
    assert not is_gone(inner)

    child.stop(grace_s=0.2)

    assert child.exit_code == -signal.SIGKILL
    assert is_gone(inner)


def test_stopping_sends_the_parts_own_signal(start: Start, tmp_path: Path) -> None:
    program = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "pathlib.Path('up').touch()\n"
        "signal.pause()"
    )
    child = start(program, stop_signal=signal.SIGINT)
    child.wait_until((tmp_path / "up").exists, timeout_s=10)

    child.stop()

    assert child.exit_code == 7


def test_stopping_twice_is_stopping(start: Start) -> None:
    child = start("import time; time.sleep(600)")
    child.stop()
    child.stop()
    assert child.exit_code is not None


def test_what_a_part_leaves_behind_is_removed(start: Start, tmp_path: Path) -> None:
    left = tmp_path / "left.sock"
    left.touch()
    child = start("import time; time.sleep(600)", leftovers=(left, tmp_path / "never-made"))
    child.stop()
    assert not left.exists()


def test_a_part_that_ends_at_start_is_told_with_its_last_words(start: Start) -> None:
    child = start("import sys; sys.exit('no such bucket')")
    with pytest.raises(StackError, match="part ended while it started .exit code 1.") as refusal:
        child.wait_until(lambda: False, timeout_s=10)
    assert "no such bucket" in refusal.value.log
    assert "part.log" in refusal.value.hint


def test_a_part_that_is_not_ready_in_time_is_stopped(start: Start) -> None:
    child = start("import time; time.sleep(600)")
    with pytest.raises(StackError, match="part was not ready within 0 s"):
        child.wait_until(lambda: False, timeout_s=0.2)
    assert child.exit_code is not None


def test_a_program_that_is_missing_is_told(tmp_path: Path) -> None:
    launch = Launch(
        name="part", argv=["no-such-program"], env={}, cwd=tmp_path, log=tmp_path / "part.log"
    )
    with pytest.raises(StackError, match="part can't be started: No such file"):
        Child(launch)


def test_each_start_begins_a_log_and_keeps_the_last_two(
    start: Start, tmp_path: Path, eventually: Eventually
) -> None:
    for number in range(4):
        child = start(f"print('start {number}')")
        assert eventually(lambda child=child: child.exit_code == 0)

    logs = {path.name: path.read_text() for path in tmp_path.glob("part.log*")}
    assert logs == {
        "part.log": "start 3\n",
        "part.log.1": "start 2\n",
        "part.log.2": "start 1\n",
    }
    assert stat.S_IMODE((tmp_path / "part.log").stat().st_mode) == 0o600


def test_children_write_bytecode_whatever_the_parent_was_told() -> None:
    env = child_environment({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/a"}, {"B": "2"})
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert env.items() >= {"HOME": "/home/a", "B": "2"}.items()
