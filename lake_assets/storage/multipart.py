"""Uploads in parts that replace an object only while it is the one that they were compared with.

Belongs here: the one S3 operation that `obstore` can't do, CompleteMultipartUpload on a condition.
Does not belong here: objects of one part (`store`), what is compared (`shrink`).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import BoundedSemaphore
from typing import Any

from lake_assets.catalog import LakeLocation

PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
"""With parts of this size and number, an upload holds 32 MB beside what is being encoded."""


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
            done = client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": sent}, **condition
            )
        except BaseException:
            client.abort_multipart_upload(**upload)
            raise
    except ClientError as error:
        if error.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}:
            raise FileExistsError(key) from error
        raise ConnectionError(str(error)) from error
    except BotoCoreError as error:
        raise ConnectionError(str(error)) from error
    return done["ETag"].strip('"')


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
