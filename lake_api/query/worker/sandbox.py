"""The limits that a worker process puts on itself before it opens the engine.

Belongs here: resource limits, inherited files, dying with the parent, the kernel's file rules,
reading all of it back.
Does not belong here: refused system calls (`syscalls`), the engine's own settings
(`locked_engine`).
"""

import ctypes
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterable

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_READ_FILE = 1 << 2
_LANDLOCK_READ_DIR = 1 << 3
_LANDLOCK_VERSION = 1
# Every right of the first version of the interface; versions 2, 3 and 5 have one more each:
# linking to other directories, cutting a file's length, commands to devices.
_LANDLOCK_FILE_RIGHTS = {1: 0x1FFF, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_LANDLOCK_NET_VERSION, _LANDLOCK_NET_RIGHTS = 4, 0b11  # to bind and to connect TCP
_LANDLOCK_SCOPE_VERSION, _LANDLOCK_SCOPES = 6, 0b11  # unix sockets without a file, and signals
_MAX_OPEN_FILES = 65_536


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, where the kernel can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def close_inherited_files() -> None:
    """Close whatever the parent had open, but for the three standard files."""
    os.closerange(3, _MAX_OPEN_FILES)


def limit_resources(*, address_space_bytes: int) -> None:
    """No written byte, no core dump, and a bound on the growth of the address space."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The limit above does not hold for dumps that the system pipes to a program.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every file of a query may be open at the same time.
    files = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if sys.platform == "linux":
        ceiling = _address_space_in_use_bytes() + address_space_bytes
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))


def _address_space_in_use_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def restrict_files(*, readable: Iterable[str]) -> bool:
    """Let this thread, and those it starts, read below `readable` and write nowhere.

    A thread that runs before it is left out, so nothing that starts one may be imported before.

    Returns:
        Whether the kernel (Landlock) does so. Without it, the engine's own lock and the limits
        above stand alone.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    attr, size_bytes = _ruleset(version)
    ruleset = libc.syscall(
        _LANDLOCK_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size_bytes), 0
    )
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _ruleset(version: int) -> tuple[_RulesetAttr, int]:
    """All that a version of the interface can refuse, and the bytes that it takes of it."""
    files = sum(right for since, right in _LANDLOCK_FILE_RIGHTS.items() if since <= version)
    if version < _LANDLOCK_NET_VERSION:
        return _RulesetAttr(files), 8
    if version < _LANDLOCK_SCOPE_VERSION:
        return _RulesetAttr(files, _LANDLOCK_NET_RIGHTS), 16
    return _RulesetAttr(files, _LANDLOCK_NET_RIGHTS, _LANDLOCK_SCOPES), 24


def prove_limits(*, has_file_rules: bool, has_call_rules: bool, unreadable: str) -> str | None:
    """What is missing of the limits on this process, or None when they hold.

    Args:
        has_file_rules: Whether `restrict_files` said that the kernel has taken its rules.
        has_call_rules: Whether `forbid_calls` said so of its own.
        unreadable: A directory that exists and that those rules do not name.
    """
    for name in ("RLIMIT_CORE", "RLIMIT_FSIZE"):
        if resource.getrlimit(getattr(resource, name)) != (0, 0):
            return f"{name} is not 0"
    if sys.platform == "linux":
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft != hard or hard == resource.RLIM_INFINITY:
            return "the address space has no bound"
        if ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0:
            return "its memory can be dumped"
    attempts: list[tuple[bool, str, Callable[[], object]]] = [
        (has_file_rules, "read other directories", lambda: os.scandir(unreadable).close()),
        (has_call_rules, "open sockets", lambda: socket.socket().close()),
        (has_call_rules, "signal its parent", lambda: os.kill(os.getppid(), 0)),
    ]
    for is_refused, what, attempt in attempts:
        if is_refused and not _is_refused(attempt):
            return f"the kernel lets it {what}"
    return None


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return True
    return False


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_directory = stat.S_ISDIR(os.fstat(beneath).st_mode)
        rule = _PathBeneathAttr(
            _LANDLOCK_READ_FILE | (_LANDLOCK_READ_DIR if is_directory else 0), beneath
        )
        libc.syscall(
            _LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), 0
        )
    finally:
        os.close(beneath)
