"""The bucket itself: that it exists, and that one-off exports leave it by themselves.

Belongs here: bucket-level calls, which need boto3.
Does not belong here: objects (`store`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lake_assets.catalog.layout import EXPORTS_PREFIX, EXPORTS_TTL_D

LIFECYCLE_RULE: dict[str, Any] = {
    "ID": "expire-exports",
    "Status": "Enabled",
    "Filter": {"Prefix": EXPORTS_PREFIX},
    "Expiration": {"Days": EXPORTS_TTL_D},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketReport:
    """What `ensure_bucket` found and changed; `lifecycle_refused` says why there is no rule."""

    created: bool
    lifecycle_written: bool
    lifecycle_refused: str = ""


def ensure_bucket(client: Any, bucket: str) -> BucketReport:
    """Create the bucket where it is missing, and give it the rule that expires exports.

    `client` is a boto3 S3 client. Other lifecycle rules of the bucket are kept. A store that knows
    no rules, or does not let us set them, is no failure: `sweep_exports` does without.

    Raises:
        botocore.exceptions.ClientError: the store refuses; the bucket may belong to someone else.
    """
    created = _create_if_missing(client, bucket)
    try:
        written = _ensure_rule(client, bucket)
    except client.exceptions.ClientError as error:
        code: str = error.response["Error"]["Code"]
        return BucketReport(created=created, lifecycle_written=False, lifecycle_refused=code)
    return BucketReport(created=created, lifecycle_written=written)


def sweep_exports(client: Any, bucket: str, *, now: datetime) -> int:
    """Remove exports that are older than they may be, and count them.

    A rule that works leaves none; without one this is what expires them.

    Raises:
        botocore.exceptions.ClientError: the store refuses.
    """
    oldest = now - timedelta(days=EXPORTS_TTL_D)
    removed = 0
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=EXPORTS_PREFIX)
    for page in pages:
        for item in page.get("Contents", []):
            if item["LastModified"] < oldest:
                client.delete_object(Bucket=bucket, Key=item["Key"])
                removed += 1
    return removed


def _ensure_rule(client: Any, bucket: str) -> bool:
    rules = _lifecycle_rules(client, bucket)
    if any(_is_same_rule(rule) for rule in rules):
        return False
    kept = [rule for rule in rules if rule.get("ID") != LIFECYCLE_RULE["ID"]]
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [*kept, LIFECYCLE_RULE]}
    )
    return True


def _create_if_missing(client: Any, bucket: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
    else:
        return False
    region = client.meta.region_name
    # us-east-1 is the one region that must not be named at creation.
    where = {} if region == "us-east-1" else {"LocationConstraint": region}
    options = {"CreateBucketConfiguration": where} if where else {}
    client.create_bucket(Bucket=bucket, **options)
    return True


def _lifecycle_rules(client: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        return client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return []


def _is_same_rule(rule: dict[str, Any]) -> bool:
    prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix"))
    return (
        rule.get("Status") == "Enabled"
        and prefix == EXPORTS_PREFIX
        and rule.get("Expiration", {}).get("Days") == EXPORTS_TTL_D
    )
