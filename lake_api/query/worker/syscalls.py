"""What a worker may not ask of the kernel, whatever runs in it: a seccomp filter.

Belongs here: the list of refused calls with the reason for each group, and the filter made of it.
Does not belong here: files (`sandbox`), the engine's own settings (`locked_engine`).

A list of refusals, not of permissions: what the interpreter, the C library and the engine need
differs from version to version, and a worker that dies of a new harmless call helps nobody.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping

_REFUSED = """
    # the network, and everything else that a socket leads to
    socket 41 198
    socketpair 53 199
    io_uring_setup 425 425
    io_uring_enter 426 426
    io_uring_register 427 427
    # other programs and processes
    execve 59 221
    execveat 322 281
    fork 57 -
    vfork 58 -
    # the memory and the files of other processes, and signals to them
    ptrace 101 117
    process_vm_readv 310 270
    process_vm_writev 311 271
    kill 62 129
    tkill 200 130
    rt_sigqueueinfo 129 138
    rt_tgsigqueueinfo 297 240
    pidfd_open 434 434
    pidfd_send_signal 424 424
    pidfd_getfd 438 438
    shmget 29 194
    shmat 30 196
    msgget 68 186
    semget 64 190
    mq_open 240 180
    # what Landlock's rules do not speak of: a file's length, mode, owner and attributes
    truncate 76 45
    chmod 90 -
    fchmod 91 52
    fchmodat 268 53
    fchmodat2 452 452
    chown 92 -
    fchown 93 55
    lchown 94 -
    fchownat 260 54
    setxattr 188 5
    lsetxattr 189 6
    fsetxattr 190 7
    open_by_handle_at 304 265
    # other views of the system, and the kernel itself
    unshare 272 97
    setns 308 268
    chroot 161 51
    pivot_root 155 41
    mount 165 40
    umount2 166 39
    open_tree 428 428
    move_mount 429 429
    fsopen 430 430
    fsmount 432 432
    bpf 321 280
    perf_event_open 298 241
    userfaultfd 323 282
    add_key 248 217
    request_key 249 218
    keyctl 250 219
    init_module 175 105
    finit_module 313 273
    kexec_load 246 104
"""
_MACHINES = ("x86_64", "aarch64")
_ARCHITECTURES = (0xC000003E, 0xC00000B7)
_SECCOMP = (317, 277)
_CLONE, _CLONE3 = (56, 220), (435, 435)
_TGKILL, _PRLIMIT64 = (234, 131), (302, 261)
_CLONE_THREAD = 0x00010000
_FOREIGN_ABI = 0x40000000  # x32 calls, which have other numbers

_LOAD, _IS, _HAS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_PR_SET_NO_NEW_PRIVS = 38
_SET_FILTER, _ALL_THREADS = 1, 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def refused_calls(machine: str) -> Mapping[str, int]:
    """Names and numbers of the calls that are refused on a machine; none where it is not known."""
    if machine not in _MACHINES:
        return {}
    column = 1 + _MACHINES.index(machine)
    lines = (line.split() for line in _REFUSED.splitlines() if line and "#" not in line)
    return {line[0]: int(line[column]) for line in lines if line and line[column] != "-"}


def forbid_calls() -> bool:
    """Have the kernel refuse these calls to every thread of this process, now and later.

    Returns:
        Whether it does so. Where it can't (another system or machine), the locks of files,
        engine and resources stand alone.
    """
    if sys.platform != "linux" or not (refused := refused_calls(platform.machine())):
        return False
    machine = _MACHINES.index(platform.machine())
    steps = b"".join(_steps(machine, refused.values()))
    program = _Program(len(steps) // 8, steps)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    number = _SECCOMP[machine]
    return libc.syscall(number, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0


def _steps(machine: int, refused: Iterable[int]) -> Iterator[bytes]:
    """The filter: each step is a code, how many steps to jump if true and if not, and a value."""
    refusal = _step(_RETURN, _ERROR | errno.EPERM)
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_IS, _ARCHITECTURES[machine], true=1)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER)
    yield _step(_AT_LEAST, _FOREIGN_ABI, false=1)
    yield refusal
    for number in refused:
        yield _step(_IS, number, false=1)
        yield refusal
    # The C library takes clone, whose flags can be looked at, where there is no clone3.
    yield _step(_IS, _CLONE3[machine], false=1)
    yield _step(_RETURN, _ERROR | errno.ENOSYS)
    yield from _only_if(_CLONE[machine], _step(_HAS, _CLONE_THREAD, true=1))
    yield from _only_if(_TGKILL[machine], _step(_IS, os.getpid(), true=1))
    yield from _only_if(_PRLIMIT64[machine], _step(_IS, 0, true=1))
    yield _step(_RETURN, _ALLOW)


def _only_if(number: int, first_argument: bytes) -> Iterator[bytes]:
    """Refuse a call unless its first argument passes."""
    yield _step(_IS, number, false=3)
    yield _step(_LOAD, _FIRST_ARGUMENT)
    yield first_argument
    yield _step(_RETURN, _ERROR | errno.EPERM)
    yield _step(_LOAD, _NUMBER)


def _step(code: int, value: int, *, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)
