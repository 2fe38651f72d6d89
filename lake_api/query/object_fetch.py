"""One object from storage to a file of the cache, checked and whole.

Belongs here: the download in a thread, its digest, the file's name.
Does not belong here: which objects are fetched, and what is evicted for them (`object_cache`).

    {folder}/{digest of the ETag}-{digest of the content}-{random}.parquet

The name says what the content must be, so that name and content appear in one rename and no index
can differ from the files. The random part gives a day that is fetched again another name: what is
known about the damaged file, here or inside the engine, is never taken for the new one.
"""

import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import S3Store

from lake_api.query.file_check import Stamp, new_digest, stamp_of
from lake_api.query.snapshot import StoredPartition

SUFFIX = ".parquet"
PART_SUFFIX = ".part"
# Each of the threads holds one: together they are memory of the service.
_CHUNK_BYTES = 1024 * 1024
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_NAME = re.compile(rf"([0-9a-f]{{32}})-([0-9a-f]{{32}})-[0-9a-f]{{8}}{re.escape(SUFFIX)}")


class OtherObject(Exception):
    """Storage has another object than the one that was listed."""


class TransferDamaged(Exception):
    """What arrived is not what storage says that it sent."""


class WriteFailed(Exception):
    """The file could not be written; `error` is why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A whole file and its stamp."""

    path: str
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """What the name of a cached file says."""

    object_digest: str
    content_digest: str


def read_name(path: str) -> NamedFile | None:
    """What a file's name says of it; None for a name that the cache does not give."""
    found = _NAME.fullmatch(os.path.basename(path))
    return found and NamedFile(object_digest=found[1], content_digest=found[2])


def fetch(
    store: S3Store,
    partition: StoredPartition,
    *,
    folder: str,
    object_digest: str,
    gone: threading.Event,
) -> Fetched | None:
    """Write the object to a new file in `folder`; None when `gone` was set meanwhile.

    Raises:
        OtherObject: the object was replaced or removed.
        TransferDamaged: two downloads differ from each other and from the ETag.
        WriteFailed: the file could not be written.
        BaseError: storage does not answer.
    """
    part = Path(folder) / f"{object_digest}.{secrets.token_hex(4)}{PART_SUFFIX}"
    try:
        digest = _download(store, partition, part, gone)
        stated = _MD5.fullmatch(partition.etag)
        if digest is not None and stated is not None and stated[1] != digest:
            # Some encrypted objects have ETags that look like an MD5 and are none: what arrives
            # twice alike is what storage has.
            again = _download(store, partition, part, gone)
            if again is not None and again not in {digest, stated[1]}:
                raise TransferDamaged
            digest = again
        if digest is None:
            return None
        if gone.is_set():
            return None
        path = f"{folder}/{object_digest}-{digest}-{secrets.token_hex(4)}{SUFFIX}"
        try:
            part.rename(path)
        except OSError as error:
            raise WriteFailed(error) from error
        stamp = stamp_of(path)
        if stamp is None or stamp.size_bytes != partition.size_bytes:
            raise WriteFailed(FileNotFoundError())
        return Fetched(path=path, stamp=stamp)
    finally:
        _remove(part)


def _download(
    store: S3Store, partition: StoredPartition, part: Path, gone: threading.Event
) -> str | None:
    """Write the object to `part` and to the disk; its digest, or None when nobody waits."""
    if gone.is_set():
        return None
    options: obstore.GetOptions | None = {"if_match": partition.etag} if partition.etag else None
    result = obstore.get(store, partition.key, options=options)
    if result.meta["size"] != partition.size_bytes:
        raise OtherObject
    digest, written = new_digest(), 0
    stream = iter(result.stream(min_chunk_size=_CHUNK_BYTES))
    file = _new_file(part)
    try:
        # What storage raises on the way must not be taken for the disk's.
        for chunk in stream:
            view = memoryview(chunk)
            digest.update(view)
            written += _write(file, view)
            if gone.is_set():
                return None
        _sync(file)
    finally:
        os.close(file)
    if written != partition.size_bytes:
        raise OtherObject
    return digest.hexdigest()


def _new_file(part: Path) -> int:
    """A new file that nobody else can open for writing."""
    try:
        _make_folder(part.parent)
        _remove(part)
        return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    except OSError as error:
        raise WriteFailed(error) from error


def _write(file: int, view: memoryview) -> int:
    written = 0
    try:
        while written < len(view):
            written += os.write(file, view[written:])
    except OSError as error:
        raise WriteFailed(error) from error
    return written


def _sync(file: int) -> None:
    """A file that has its name has its content, also after the machine has lost its power."""
    try:
        os.fdatasync(file)
    except OSError as error:
        raise WriteFailed(error) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        # Something that is no folder lies where one belongs; everything here is the cache's own.
        for parent in (folder, folder.parent):
            if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
                parent.unlink()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        folder.chmod(0o700)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
