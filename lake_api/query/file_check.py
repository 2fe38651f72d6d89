"""Whether a local file still has the content that was once checked.

Belongs here: stamps (what the file system says of a file) and digests (what is in it).
Does not belong here: which files there are and what happens to a damaged one (`object_cache`).

A digest costs a read of the whole file; a stamp costs about two microseconds. Whoever writes to a
file, replaces it or changes its rights also changes its stamp, for nobody can set a ctime. Only a
medium that returns other bytes than were written leaves the stamp as it was: the scrub in the
background finds that.

The digest is MD5, because the ETag of an object that was stored with one PUT is its MD5: one digest
compares the file with what storage says and with what was written. It guards against damage, not
against attacks: whoever may write the cache directory owns the service.
"""

import hashlib
import os
import stat
from typing import NamedTuple, Protocol

_CHUNK_BYTES = 1024 * 1024


class Stamp(NamedTuple):
    """What the file system says of a file; another stamp means that it was touched."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    mode: int


def stamp_of(path: str) -> Stamp | None:
    """The stamp of a file, or None when it is not there."""
    try:
        return _stamp(os.lstat(path))
    except OSError:
        return None


def is_untouched(path: str, stamp: Stamp | None) -> bool:
    """Whether the file at the path still has this stamp.

    It is looked at for each of a thousand files before and after a query: a ctime that is the same
    for the same inode says all that the rest of the stamp says.
    """
    if stamp is None:
        return False
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return found.st_ctime_ns == stamp.ctime_ns and found.st_ino == stamp.inode


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_mode,
    )


class Digest(Protocol):
    """A digest that is fed piece by piece."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all bytes so far."""
        ...

    def hexdigest(self) -> str:
        """The same as text."""
        ...


def new_digest() -> Digest:
    """A digest to feed."""
    return hashlib.md5(usedforsecurity=False)


def checked_stamp(path: str, digest: str) -> Stamp | None:
    """The stamp of a file whose whole content has this digest; None for any other file.

    A file that can't be read, or that changes while it is read, is any other file.
    """
    try:
        found, stamp = digest_of(path)
    except OSError:
        return None
    return stamp if found == digest and stamp_of(path) == stamp else None


def digest_of(path: str) -> tuple[str, Stamp]:
    """The digest of a file's content, and its stamp from before it was read.

    Raises:
        OSError: it can't be read.
    """
    found = new_digest()
    with open(path, "rb", buffering=0, opener=_open_file) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        stamp = _stamp(status)
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, stamp.size_bytes + 1)))
        while count := file.readinto(buffer):
            found.update(buffer[:count])
    return found.hexdigest(), stamp


def _open_file(path: str, flags: int) -> int:
    """Opens a file itself: no link, and no pipe that nobody writes to."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
