import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.stack.conftest import Eventually

# A parent with two parts: one ends at SIGTERM and notes it, the other ignores it and has a child
# in a session of its own.
PARENT = """
import os, pathlib, sys, time
from lake_api.stack.guardian import guardian
from lake_api.stack.process import Child, Launch, child_environment

here = pathlib.Path(sys.argv[1])
polite = '''
import pathlib, signal, sys
def end(*_):
    pathlib.Path("ended-politely").touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
'''
stubborn = '''
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
)
print("ready", inner.pid, flush=True)
time.sleep(600)
'''
children = [
    Child(
        Launch(
            name=name,
            argv=[sys.executable, "-c", program],
            env=child_environment(os.environ),
            cwd=here,
            log=here / f"{name}.log",
        )
    )
    for name, program in (("polite", polite), ("stubborn", stubborn))
]
for child in children:
    child.wait_until(lambda: "ready" in child.log_tail(), timeout_s=20)
inner = children[1].log_tail().split()[-1]
print(*(child.pid for child in children), inner, guardian().pid, flush=True)
if sys.argv[2] == "return":
    sys.exit()
time.sleep(600)
"""


def run_parent(here: Path, then: str) -> tuple[subprocess.Popen[str], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(here), then],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 4
    return parent, pids


def test_a_killed_parent_leaves_no_process_behind(
    tmp_path: Path, eventually: Eventually, is_gone: Callable[[int], bool]
) -> None:
    parent, pids = run_parent(tmp_path, "wait")
    assert not any(is_gone(pid) for pid in pids)

    parent.kill()
    parent.communicate()

    assert eventually(lambda: all(is_gone(pid) for pid in pids))
    assert (tmp_path / "ended-politely").exists()


def test_a_parent_that_forgets_to_stop_its_parts_leaves_none_either(
    tmp_path: Path, eventually: Eventually, is_gone: Callable[[int], bool]
) -> None:
    parent, pids = run_parent(tmp_path, "return")
    parent.communicate(timeout=20)
    assert parent.returncode == 0
    assert eventually(lambda: all(is_gone(pid) for pid in pids))


def test_the_guardian_outlives_what_interrupts_its_parents_terminal(
    tmp_path: Path, eventually: Eventually, is_gone: Callable[[int], bool]
) -> None:
    parent, pids = run_parent(tmp_path, "wait")
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        psutil.Process(pids[-1]).send_signal(ignored)

    parent.kill()
    parent.communicate()

    assert eventually(lambda: all(is_gone(pid) for pid in pids))
