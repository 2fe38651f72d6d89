"""Uploads in parts that replace an object only while it is the one that they were compared with.

Belongs here: the one S3 operation that `obstore` can't do, CompleteMultipartUpload on a condition.
Does not belong here: objects of one part (`store`), what is compared (`shrink`).

The embedded server, and maybe others, compares and completes in two steps: of two uploads that end
at the same instant both would pass. A PUT with a condition is one step there. So who completes
first writes a small lock object, and removes it afterwards.
"""

import time
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from threading import BoundedSemaphore
from typing import Any

from lake_assets.catalog import LakeLocation

PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
"""With parts of this size and number, an upload holds 32 MB beside what is being encoded."""

LOCK_LEASE_S = 60.0
"""A lock that stays the same for so long was left by a process that died."""

_LOCK_POLL_S = 0.2
_CONDITION_FAILED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_GONE = frozenset({"NoSuchKey", "NotFound", "404"})


def upload_parts(
    location: LakeLocation, key: str, parts: Iterator[bytes], *, etag: str | None
) -> str:
    """Upload `parts`, replace the object that has `etag` (None: there is none), return the new one.

    Raises:
        FileExistsError: the object there is another one by now; nothing was replaced.
        ConnectionError: the store refused or did not answer.
    """
    # botocore takes half a second to import, and most days are one part.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    client, where = _client(location), {"Bucket": location.bucket, "Key": key}
    try:
        upload = {**where, "UploadId": client.create_multipart_upload(**where)["UploadId"]}
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            sent = _sent(client, upload, parts)
            with _alone(client, {**where, "Key": f"locks/{key}"}):
                done = client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": sent}, **condition
                )
        except BaseException:
            client.abort_multipart_upload(**upload)
            raise
    except ClientError as error:
        if _code(error) in _CONDITION_FAILED:
            raise FileExistsError(key) from error
        raise ConnectionError(str(error)) from error
    except BotoCoreError as error:
        raise ConnectionError(str(error)) from error
    return done["ETag"].strip('"')


@contextmanager
def _alone(client: Any, lock: dict[str, str]) -> Generator[None]:
    """Hold a lock object, after waiting for whoever has it; one that nobody renews is taken over.

    Raises:
        ConnectionError: others always had it.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415

    started = changed_at = time.monotonic()
    found: str | None = None
    is_left = False
    while True:
        condition = {"IfMatch": found} if found and is_left else {"IfNoneMatch": "*"}
        try:
            # Its content makes its ETag its own.
            client.put_object(**lock, Body=uuid.uuid4().bytes, **condition)
            break
        except ClientError as error:
            if _code(error) not in _CONDITION_FAILED | _GONE:
                raise
        now, before = time.monotonic(), found
        if now - started > 3 * LOCK_LEASE_S:
            raise ConnectionError(f"other runs are completing the object of {lock['Key']}")
        found = _etag(client, lock)
        if found != before:
            changed_at = now
        is_left = now - changed_at >= LOCK_LEASE_S
        time.sleep(_LOCK_POLL_S)
    held_since = time.monotonic()
    try:
        yield
    finally:
        # Later it may be the lock of whoever took it over.
        if time.monotonic() - held_since < LOCK_LEASE_S:
            with suppress(ClientError):
                client.delete_object(**lock)


def _etag(client: Any, lock: dict[str, str]) -> str | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return client.head_object(**lock)["ETag"]
    except ClientError as error:
        if _code(error) in _GONE:
            return None
        raise


def _code(error: Any) -> str:
    return error.response["Error"]["Code"]


def _sent(client: Any, upload: dict[str, str], parts: Iterator[bytes]) -> list[dict[str, Any]]:
    free = BoundedSemaphore(_PARTS_AT_ONCE)

    def send(number: int, part: bytes) -> dict[str, Any]:
        try:
            answer = client.upload_part(**upload, PartNumber=number, Body=part)
        finally:
            free.release()
        return {"PartNumber": number, "ETag": answer["ETag"]}

    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        under_way = []
        for number, part in enumerate(parts, start=1):
            free.acquire()
            under_way.append(pool.submit(send, number, part))
        return [one.result() for one in under_way]


@cache
def _client(location: LakeLocation) -> Any:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "s3",
        endpoint_url=location.endpoint,
        region_name=location.region,
        aws_access_key_id=location.access_key,
        aws_secret_access_key=location.secret_key,
        config=Config(
            connect_timeout=5,
            read_timeout=120,
            retries={"max_attempts": 5, "mode": "standard"},
            s3={"addressing_style": "path"},
        ),
    )
