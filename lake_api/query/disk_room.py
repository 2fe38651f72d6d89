"""How much a directory's disk can still take, and telling that it is full.

Belongs here: free bytes less a reserve, which errors mean a full disk, what callers are told.
Does not belong here: what is evicted for it (`object_cache`, `segments`).
"""

import errno
import os
from pathlib import Path

from lake_api.errors import QueryUnavailable

_RESERVE_BYTES = 512 * 1024 * 1024
_RESERVE_SHARE = 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def room_bytes(directory: Path) -> int:
    """Bytes that may still be written below a directory; negative where the reserve is used.

    The reserve is 512 MiB, or a twentieth of a smaller disk: logs and the service's database may
    share the disk with the cache.
    """
    try:
        disk = os.statvfs(directory)
    except FileNotFoundError:
        # It is made when it is needed; the same holds for every folder below the root.
        return room_bytes(directory.parent)
    except OSError:
        return 0
    total_bytes = disk.f_blocks * disk.f_frsize
    reserve_bytes = min(_RESERVE_BYTES, total_bytes // _RESERVE_SHARE)
    return disk.f_bavail * disk.f_frsize - reserve_bytes


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk, or what one may have of it, is full."""
    return error.errno in _FULL


def can_write(directory: Path, size_bytes: int) -> bool:
    """Whether a file of this size can be written below a directory right now."""
    probe = directory / ".probe"
    try:
        with probe.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size_bytes))
    except OSError:
        return False
    finally:
        try:
            probe.unlink(missing_ok=True)
        except OSError:
            return False
    return True


def cache_full(size_bytes: int) -> QueryUnavailable:
    """What a caller is told when nothing more can be evicted and the disk is still full."""
    return QueryUnavailable(
        f"The disk of the object cache has no room for the {size_bytes:,} bytes that the query "
        "still needs.",
        code="cache_full",
        hint="Try again in a moment, or narrow the days with a filter on `date`. If it stays, the "
        "operator must free disk space or move LAKE_CACHE_DIR; `/readyz` shows it.",
        retry=True,
        retry_after_s=5,
    )


def cache_unwritable(error: OSError) -> QueryUnavailable:
    """What a caller is told when the cache's directory can't be written for another reason."""
    reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return QueryUnavailable(
        f"The object cache can't be written ({reason}).",
        code="cache_unwritable",
        hint="Nothing is wrong with the query. The operator must look at the directory that "
        "LAKE_CACHE_DIR names; `/readyz` shows it.",
        retry=True,
        retry_after_s=5,
    )
