"""A directory of the cache that one process uses alone.

Belongs here: taking a slot, its folders, giving it back.
Does not belong here: what is in them (`object_cache`, `segments`, `snapshot_files`).
"""

import fcntl
import shutil
from pathlib import Path
from typing import IO

_MAX_SLOTS = 64


class CacheSlot:
    """A directory that this process alone uses, found again by the next one."""

    def __init__(self, root: Path) -> None:
        self.directory, self._lock = _take_slot(root)
        self.data = self.directory / "data"
        self.objects = self.data / "objects"
        self.segments = self.data / "segments"
        self.kept = self.data / "kept"
        self.engine = self.directory / "engine"
        self.snapshots = self.directory / "snapshots"
        # Nothing of the engine's is kept: a half-written file there would stop every worker.
        shutil.rmtree(self.engine, ignore_errors=True)
        # Which ETags a segment has is not written down: they are built anew.
        shutil.rmtree(self.segments, ignore_errors=True)
        # Kept results are in the bucket; here are copies that pages were read from.
        shutil.rmtree(self.kept, ignore_errors=True)
        self._inode = 0
        self.make_folders()

    def make_folders(self) -> None:
        """Have all folders, those included that somebody has removed."""
        for directory in (
            self.data,
            self.objects,
            self.segments,
            self.kept,
            self.engine,
            self.snapshots,
        ):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._inode = self._inode_now()

    @property
    def is_replaced(self) -> bool:
        """Whether the folder that workers may read is not the one that they were shown."""
        return self._inode_now() != self._inode

    def _inode_now(self) -> int:
        try:
            return self.data.stat().st_ino
        except OSError:
            return 0

    def release(self) -> None:
        """Let another process take the slot."""
        self._lock.close()


def _take_slot(root: Path) -> tuple[Path, IO[bytes]]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(_MAX_SLOTS):
        directory = root.resolve() / f"slot-{number}"
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = (directory / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return directory, lock
    raise RuntimeError(f"all {_MAX_SLOTS} slots of the object cache are in use")
