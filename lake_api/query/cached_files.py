"""What the object cache keeps on disk, as its users and its next process see it.

Belongs here: what is wanted and pinned, and finding the files of an earlier process.
Does not belong here: fetching and evicting (`object_cache`).
"""

import os
import shutil
import stat
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from lake_api.query.file_check import Stamp, is_untouched
from lake_api.query.object_fetch import read_name
from lake_api.query.stored_partition import StoredPartition
from lake_assets.catalog import Dataset


class ObjectChanged(Exception):
    """An object is no longer what the snapshot says: look again."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.partition)
        self.dataset = dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One object that a query needs."""

    dataset: Dataset
    partition: StoredPartition


@dataclass(slots=True, kw_only=True)
class PinnedFile:
    """A file that stays while it is pinned, as it was when its content was known to be right."""

    wanted: Wanted
    path: str
    stamp: Stamp | None

    @property
    def is_touched(self) -> bool:
        """Whether anybody has written to it, replaced or removed it since."""
        return not is_untouched(self.path, self.stamp)


def adopt(directory: Path) -> "OrderedDict[str, tuple[str, int]]":
    """Path and size by key of the files that are there, oldest first; all others are removed."""
    found: list[tuple[float, str, str, int]] = []
    for parent, _, files in os.walk(directory):
        for file in files:
            path = os.path.join(parent, file)
            named = read_name(path)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if named is None or not stat.S_ISREG(status.st_mode):
                remove(path)
            else:
                key = f"{parent}/{named.object_digest}"
                found.append((status.st_mtime, key, path, status.st_size))
    adopted: OrderedDict[str, tuple[str, int]] = OrderedDict()
    for _, key, path, size_bytes in sorted(found):
        if key in adopted:
            remove(adopted.pop(key)[0])
        adopted[key] = path, size_bytes
    return adopted


def remove(path: str) -> None:
    """Remove whatever is at a path of the cache."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError:
        # Whoever put a folder there, nothing but files is the cache's.
        shutil.rmtree(path, ignore_errors=True)
