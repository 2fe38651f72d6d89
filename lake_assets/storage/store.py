"""The bucket as the writer sees it: whole objects in, whole objects out.

Belongs here: connecting to S3 and the few object operations that writing needs.
Does not belong here: Parquet (`writer`), key rules (`catalog.layout`), creating the bucket
(`bucket`), the reader's side (`lake_api`).
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
import obstore
import pyarrow as pa
import pyarrow.fs
from obstore.store import S3Store

from lake_assets.catalog import Dataset, LakeLocation, dataset_prefix, day_of_key, version_key
from lake_assets.catalog.proxies import proxy_for
from lake_assets.storage.multipart import PART_BYTES, upload_parts

_UPDATE_ATTEMPTS = 8


class StorageError(RuntimeError):
    """The object store did not do what was asked; trying again may help."""


class ChangedMeanwhile(StorageError):
    """An object is no longer the one that was compared with: somebody else wrote it meanwhile."""


class VersionToken(msgspec.Struct, frozen=True):
    """What the small object beside a dataset's data holds; its ETag is what readers compare."""

    version: str
    written_at: datetime
    days: tuple[date, ...]


def _proxy_for(endpoint: str) -> str | None:
    """The proxy for a client that looks for none, and knows no SOCKS."""
    found = proxy_for(endpoint)
    return found if found and found.startswith(("http://", "https://")) else None


class LakeStore:
    """The objects of one bucket, through the identity that `location` names."""

    def __init__(self, location: LakeLocation) -> None:
        self.location = location
        self._store = S3Store(
            location.bucket,
            endpoint=location.endpoint,
            access_key_id=location.access_key,
            secret_access_key=location.secret_key,
            region=location.region,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": location.is_plain_http,
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=120),
            },
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
        )

    def uri(self, key: str) -> str:
        """The `s3://` address of a key, for people and metadata."""
        return f"s3://{self.location.bucket}/{key}"

    def put_whole(self, key: str, content: bytes) -> str:
        """Replace an object by `content` in one step, whatever it is; return its ETag.

        Raises:
            StorageError: the store refused or did not answer.
        """
        return self._put(key, content, mode="overwrite")

    def put_over(self, key: str, parts: Iterator[bytes], *, etag: str | None) -> str:
        """Replace the object that has `etag` (None: there is none) in one step; return the new one.

        Readers see the old object or the new one. `parts` are uploaded while they are consumed; if
        that raises, nothing is replaced. A small object is one plain PUT.

        Raises:
            ChangedMeanwhile: the object there is another one by now; nothing was replaced.
            StorageError: the store refused or did not answer.
        """
        sized = _resized(parts)
        first, second = next(sized, b""), next(sized, None)
        if second is None:
            return self._put(key, first, mode="create" if etag is None else {"e_tag": etag})
        try:
            return upload_parts(self.location, key, _chained(first, second, sized), etag=etag)
        except FileExistsError as error:
            raise _changed(key) from error
        except ConnectionError as error:
            raise StorageError(f"writing to object storage failed: {_first_line(error)}") from error

    def _put(self, key: str, content: bytes, *, mode: Any) -> str:
        try:
            result = obstore.put(self._store, key, content, mode=mode, use_multipart=False)
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            changed = (
                obstore.exceptions.AlreadyExistsError,
                obstore.exceptions.PreconditionError,
            )
            # Some stores say of a condition on an object that is gone that there is none.
            is_gone = isinstance(error, FileNotFoundError)
            if isinstance(error, changed) or (is_gone and isinstance(mode, dict)):
                raise _changed(key) from error
            raise StorageError(f"writing to object storage failed: {_first_line(error)}") from error
        return (result.get("e_tag") or "").strip('"')

    def update_small(self, key: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a small object by what `change` makes of it, also where others do so at once.

        Raises:
            StorageError: the store refused, did not answer, or others were always faster.
        """
        for _ in range(_UPDATE_ATTEMPTS):
            found = self._get(key)
            content, etag = found or (None, None)
            try:
                self._put(key, change(content), mode="create" if etag is None else {"e_tag": etag})
            except ChangedMeanwhile:
                continue
            return
        raise _changed(key)

    def get_small(self, key: str) -> bytes | None:
        """All of a small object, or None where there is none.

        Raises:
            StorageError: the store refused or did not answer.
        """
        found = self._get(key)
        return found and found[0]

    def _get(self, key: str) -> tuple[bytes, str | None] | None:
        try:
            found = obstore.get(self._store, key)
            return bytes(found.bytes()), found.meta["e_tag"]
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            raise StorageError(f"reading object storage failed: {_first_line(error)}") from error

    def open(self, key: str) -> pa.NativeFile:
        """A seekable reader of an object, for Parquet to fetch the ranges that it needs.

        Raises:
            FileNotFoundError: there is no such object.
            StorageError: the store refused or did not answer.
        """
        try:
            return self._files.open_input_file(f"{self.location.bucket}/{key}")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"reading object storage failed: {_first_line(error)}") from error

    @cached_property
    def _files(self) -> pyarrow.fs.S3FileSystem:
        scheme, _, host = self.location.endpoint.partition("://")
        return pyarrow.fs.S3FileSystem(
            access_key=self.location.access_key,
            secret_key=self.location.secret_key,
            endpoint_override=host,
            scheme=scheme,
            region=self.location.region,
            connect_timeout=5,
            request_timeout=60,
            proxy_options=_proxy_for(self.location.endpoint),
        )

    def days(self, dataset: Dataset) -> Sequence[date]:
        """The days that a dataset has an object for, ascending.

        Raises:
            StorageError: the store refused or did not answer.
        """
        return sorted(self.etags(dataset))

    def etags(self, dataset: Dataset) -> Mapping[date, str]:
        """The ETag of each day's object, as `put_over` takes it.

        Raises:
            StorageError: the store refused or did not answer.
        """
        try:
            listed = {
                day_of_key(dataset, item["path"]): item["e_tag"] or ""
                for page in obstore.list(self._store, prefix=dataset_prefix(dataset))
                for item in page
            }
        except obstore.exceptions.BaseError as error:
            raise StorageError(f"listing object storage failed: {_first_line(error)}") from error
        return {day: etag for day, etag in listed.items() if day is not None}

    def etag(self, key: str) -> str | None:
        """The ETag of an object as `put_over` takes it, None where there is none.

        Raises:
            StorageError: the store refused or did not answer.
        """
        try:
            return obstore.head(self._store, key)["e_tag"]
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            raise StorageError(f"reading object storage failed: {_first_line(error)}") from error

    def bump_version(self, dataset: Dataset, days: Iterable[date]) -> None:
        """Tell readers that partitions were replaced.

        Raises:
            StorageError: the store refused or did not answer.
        """
        token = VersionToken(
            version=uuid.uuid4().hex, written_at=datetime.now(tz=UTC), days=tuple(days)
        )
        self.put_whole(version_key(dataset), msgspec.json.encode(token))


def _changed(key: str) -> ChangedMeanwhile:
    return ChangedMeanwhile(
        f"another run wrote {key} meanwhile: the day is read again and compared with what it wrote"
    )


def _resized(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in parts as S3 wants them: all but the last of one size."""
    held = bytearray()
    for part in parts:
        held += part
        while len(held) > PART_BYTES:
            yield bytes(held[:PART_BYTES])
            del held[:PART_BYTES]
    if held:
        yield bytes(held)


def _chained(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
