"""A name for a user id that the system knows none for.

Belongs here: running one program as if the user had a name.
Does not belong here: which program (`postgres`).

`initdb` refuses a user without an entry in the system's list of users, as containers with a user
id of their own have it. In a user namespace of its own the same process is a user of the list to
the program, and itself to everybody else: the files that are made belong to the real id.
"""

import ctypes
import os
import pwd
import sys
from collections.abc import Sequence
from typing import NoReturn

_NEW_USER_NAMESPACE = 0x10000000
REFUSED = 3
"""The exit code where the system lets nobody have another name."""


def command_with_name(command: Sequence[str]) -> list[str]:
    """`command` as it is for a user who has a name, else through this module."""
    if _has_name(os.getuid()):
        return list(command)
    # -P: the folder of this file must not shadow modules of the standard library.
    return [sys.executable, "-P", __file__, *command]


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _main(command: list[str]) -> NoReturn:
    uid, gid = os.getuid(), os.getgid()
    # Not root: the program refuses that too.
    named = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid not in {0, uid}), None)
    if named is None or ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER_NAMESPACE) != 0:
        sys.stderr.write(
            f"The user id {uid} has no name on this system, and initdb needs one: run as a user\n"
            f"with a name, or add a line to /etc/passwd, such as lake:x:{uid}:{gid}::/:/bin/sh\n"
        )
        sys.exit(REFUSED)
    for file, inner, outer in (("uid_map", named, uid), ("gid_map", gid, gid)):
        if file == "gid_map":
            # Without this an ordinary user may not map a group.
            _write("/proc/self/setgroups", "deny")
        _write(f"/proc/self/{file}", f"{inner} {outer} 1")
    os.execv(command[0], command)  # noqa: S606 - the program that this one is called for


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


if __name__ == "__main__":
    _main(sys.argv[1:])
