"""What the kernel refuses a process that is locked as a worker is, and what it lets it do."""

import ctypes
import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from lake_api.query.messages import Ready
from lake_api.query.worker.syscalls import refused_calls
from tests.fuzz.hostile_worker import HostileWorker
from tests.query.test_second_wall import first_word

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not refused_calls(platform.machine()),
    reason="the filter is of Linux on machines that are known",
)

# Locks itself, and tells of each attempt the error that it got, or null.
ATTEMPTS = """
import ctypes, json, os, resource, signal, socket, subprocess, sys, threading
from lake_api.query.worker.sandbox import limit_resources
from lake_api.query.worker.syscalls import forbid_calls

path, parent = sys.argv[1], os.getppid()
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")

def thread():
    done = []
    one = threading.Thread(target=lambda: done.append(1))
    one.start()
    one.join()
    assert done

attempts = {
    "a TCP socket": lambda: socket.socket(),
    "a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a unix socket": lambda: socket.socket(socket.AF_UNIX),
    "a pair of sockets": lambda: socket.socketpair(),
    "a process": os.fork,
    "a program": lambda: subprocess.run([sys.executable, "-V"]),
    "another program": lambda: os.execv(sys.executable, ["x", "-V"]),
    "a signal to the parent": lambda: os.kill(parent, signal.SIGTERM),
    "a signal to all": lambda: os.kill(-1, 0),
    "a look at the parent": lambda: call("ptrace", 16, parent, 0, 0),
    "limits of the parent": lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1)),
    "a file cut": lambda: os.truncate(path, 0),
    "a file's mode": lambda: os.chmod(path, 0o777),
    "another root": lambda: os.chroot("/"),
    "a thread": thread,
    "a signal to itself": lambda: signal.raise_signal(signal.SIGCHLD),
    "its own limits": lambda: resource.getrlimit(resource.RLIMIT_AS),
}
limit_resources(address_space_bytes=2_000_000_000)
assert forbid_calls()
told = {}
for what, attempt in attempts.items():
    try:
        attempt()
    except OSError as error:
        told[what] = type(error).__name__
    else:
        told[what] = None
print(json.dumps({**told, "dumpable": libc.prctl(3, 0, 0, 0, 0)}))
"""
ALLOWED = ("a thread", "a signal to itself", "its own limits")


def takes_filters() -> bool:
    """Whether this kernel has filters of calls, by its own word: it looks for the missing one."""
    number = {"x86_64": 317, "aarch64": 277}.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    ctypes.CDLL(None, use_errno=True).syscall(number, 1, 1, None)
    return ctypes.get_errno() == errno.EFAULT


@pytest.mark.skipif(not takes_filters(), reason="workers do without a filter on such a kernel")
def test_a_locked_process_reaches_no_other_and_no_network(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("whole")
    file.chmod(0o600)
    code = [sys.executable, "-I", "-c", ATTEMPTS, str(file)]
    done = subprocess.run(code, stdout=subprocess.PIPE, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert {what: told.pop(what) for what in ALLOWED} == dict.fromkeys(ALLOWED)
    assert told.pop("dumpable") == 0
    assert told == dict.fromkeys(told, "PermissionError")
    assert file.read_text() == "whole"
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_thread_runs_before_the_rules_of_files(tmp_path: Path) -> None:
    """Such a thread would be left out of them."""
    word = first_word(
        tmp_path,
        "from lake_api.query.worker.sandbox import restrict_files\n"
        "import ctypes, os, sys\n"
        "known = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0\n"
        "def restrict(**paths):\n"
        "    len(os.listdir('/proc/self/task')) == 1 or sys.exit('there are other threads')\n"
        "    return restrict_files(**paths) or (known and sys.exit('the kernel has them'))\n"
        "main(restrict=restrict)",
    )
    assert word == Ready()


def test_a_worker_keeps_no_file_of_its_parent_open(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    worker = HostileWorker(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "lake_api.query.worker"],
        stdin=subprocess.PIPE,
        pass_fds=[writing],
        env={"LANG": "C.UTF-8", "TZ": "UTC"},
    )
    os.close(writing)
    assert process.stdin is not None
    with process:
        # The end of the pipe comes when nobody has its other side any more: the worker still waits.
        assert os.read(reading, 1) == b""
        assert process.poll() is None
        process.stdin.close()
    os.close(reading)
    assert not (worker.directory / "engine" / "empty.duckdb").exists()
