"""The bucket as the writer sees it: whole objects in, whole objects out.

Belongs here: connecting to S3 and the few object operations that writing needs.
Does not belong here: Parquet (`writer`), key rules (`catalog.layout`), creating the bucket
(`bucket`), the reader's side (`lake_api`).
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import msgspec
import obstore
import pyarrow as pa
import pyarrow.fs
from obstore.store import S3Store

from lake_assets.catalog import Dataset, LakeLocation, dataset_prefix, day_of_key, version_key
from lake_assets.catalog.proxies import proxy_for

_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
"""With parts of this size and number, an upload holds 32 MB beside what is being encoded."""


class StorageError(RuntimeError):
    """The object store did not do what was asked; trying again may help."""


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

    def put_whole(self, key: str, content: bytes | Iterable[bytes]) -> str:
        """Replace an object by `content` in one step; return its ETag.

        Readers see the old object or the new one. An iterable is uploaded in parts while it is
        consumed; if it raises, nothing is replaced.

        Raises:
            StorageError: the store refused or did not answer.
        """
        try:
            result = obstore.put(
                self._store, key, content, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )
        except obstore.exceptions.BaseError as error:
            raise StorageError(f"writing to object storage failed: {_first_line(error)}") from error
        return (result.get("e_tag") or "").strip('"')

    def get_small(self, key: str) -> bytes | None:
        """All of a small object, or None where there is none.

        Raises:
            StorageError: the store refused or did not answer.
        """
        try:
            return bytes(obstore.get(self._store, key).bytes())
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
        try:
            listed = [
                day_of_key(dataset, item["path"])
                for page in obstore.list(self._store, prefix=dataset_prefix(dataset))
                for item in page
            ]
        except obstore.exceptions.BaseError as error:
            raise StorageError(f"listing object storage failed: {_first_line(error)}") from error
        return sorted(day for day in listed if day is not None)

    def bump_version(self, dataset: Dataset, days: Iterable[date]) -> None:
        """Tell readers that partitions were replaced.

        Raises:
            StorageError: the store refused or did not answer.
        """
        token = VersionToken(
            version=uuid.uuid4().hex, written_at=datetime.now(tz=UTC), days=tuple(days)
        )
        self.put_whole(version_key(dataset), msgspec.json.encode(token))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
