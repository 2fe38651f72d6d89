"""Snapshots on local disk, so that a restarted service need not list every dataset again.

Belongs here: one file per dataset, written whole, read back with its digest.
Does not belong here: when one may be used (`snapshot` compares its version token first).

A file that is damaged, cut or of another lake is no snapshot; without any, datasets are listed.
"""

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import msgspec

from lake_api.query.file_check import new_digest
from lake_api.query.stored_partition import Snapshot, StoredPartition
from lake_assets.catalog import Dataset

_SUFFIX = ".snapshot"
_DIGEST_BYTES = 16
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSnapshot:
    """A snapshot of an earlier look, and when its objects were listed (seconds since 1970)."""

    snapshot: Snapshot
    listed_at: float


class _Day(msgspec.Struct, frozen=True, array_like=True):
    day: date
    key: str
    etag: str
    size_bytes: int
    written_at: datetime


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    format: int
    lake: str
    partition: str
    version: str
    listed_at: float
    days: list[_Day]
    failed_checks: dict[date, dict[str, str]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Saved)


class SnapshotFiles:
    """The files of one process; `lake` says which bucket they are about."""

    def __init__(self, directory: Path, *, lake: str) -> None:
        self._directory = directory
        self._lake = lake

    def save(self, snapshot: Snapshot) -> None:
        """Write it, or leave what is there where that fails: it only saves time."""
        body = _encoder.encode(
            _Saved(
                format=_FORMAT,
                lake=self._lake,
                partition=snapshot.dataset.partition,
                version=snapshot.version,
                listed_at=time.time(),
                days=[
                    _Day(one.day, one.key, one.etag, one.size_bytes, one.written_at)
                    for one in snapshot.partitions
                ],
                failed_checks={day: dict(found) for day, found in snapshot.failed_checks.items()},
            )
        )
        path = self._path(snapshot.dataset)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            with part.open("wb") as file:
                file.write(_digest(body) + body)
                file.flush()
                os.fdatasync(file.fileno())
            part.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def load(self, dataset: Dataset) -> SavedSnapshot | None:
        """What was saved last, where it is whole."""
        try:
            content = self._path(dataset).read_bytes()
            digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if digest != _digest(body):
                return None
            saved = _decoder.decode(body)
        except (OSError, msgspec.MsgspecError):
            return None
        if (saved.format, saved.lake, saved.partition) != (_FORMAT, self._lake, dataset.partition):
            return None
        return SavedSnapshot(
            listed_at=saved.listed_at,
            snapshot=Snapshot(
                dataset=dataset,
                version=saved.version,
                partitions=tuple(
                    StoredPartition(
                        day=one.day,
                        key=one.key,
                        etag=one.etag,
                        size_bytes=one.size_bytes,
                        written_at=one.written_at,
                    )
                    for one in saved.days
                ),
                failed_checks=saved.failed_checks,
            ),
        )

    def _path(self, dataset: Dataset) -> Path:
        return self._directory / f"{dataset.sql_name}{_SUFFIX}"


def _digest(body: bytes) -> bytes:
    found = new_digest()
    found.update(body)
    return found.digest()
