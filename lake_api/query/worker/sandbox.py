"""The limits that a worker process puts on itself before it opens the engine.

Belongs here: resource limits, dying with the parent, the kernel's file rules, reading them back.
Does not belong here: the engine's own settings (`locked_engine`).
"""

import ctypes
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_READ_FILE = 1 << 2
_LANDLOCK_READ_DIR = 1 << 3
_LANDLOCK_ALL_FILE_RIGHTS = 0x1FFF  # every right of the first version of the interface
_MAX_OPEN_FILES = 65_536


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, where the kernel can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def limit_resources(*, address_space_bytes: int) -> None:
    """No written byte, no core dump, and a bound on the growth of the address space."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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

    Returns:
        Whether the kernel (Landlock) does so. Without it, the engine's own lock and the limits
        above stand alone.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    attr = _RulesetAttr(_LANDLOCK_ALL_FILE_RIGHTS)
    ruleset = libc.syscall(
        _LANDLOCK_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(ctypes.sizeof(attr)), 0
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


def prove_limits(*, has_file_rules: bool, unreadable: str) -> str | None:
    """What is missing of the limits on this process, or None when they hold.

    Args:
        has_file_rules: Whether `restrict_files` said that the kernel has taken its rules.
        unreadable: A directory that exists and that those rules do not name.
    """
    for name in ("RLIMIT_CORE", "RLIMIT_FSIZE"):
        if resource.getrlimit(getattr(resource, name)) != (0, 0):
            return f"{name} is not 0"
    if sys.platform == "linux":
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft != hard or hard == resource.RLIM_INFINITY:
            return "the address space has no bound"
    if not has_file_rules:
        return None
    try:
        os.scandir(unreadable).close()
    except PermissionError:
        return None
    return "the kernel lets it read other directories"


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
