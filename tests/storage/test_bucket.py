import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lake_assets.orchestration.resources import LakeResource
from lake_assets.storage.bucket import BucketReport, ensure_bucket, sweep_exports
from tests.conftest import boto3_client, remove_bucket, settings_of


def test_a_bucket_is_made_once_with_its_rule(s3):
    location = replace(s3.writer, bucket=f"test-{uuid.uuid4().hex[:12]}")
    client = boto3_client(location)

    assert ensure_bucket(client, location.bucket) == BucketReport(
        created=True, lifecycle_written=True
    )
    assert ensure_bucket(client, location.bucket) == BucketReport(
        created=False, lifecycle_written=False
    )
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=location.bucket)["Rules"]
    assert rule["Expiration"]["Days"] == 7
    assert rule["Filter"]["Prefix"] == "exports/"
    remove_bucket(location)


def test_rules_of_others_stay(bucket):
    client = LakeResource(env=settings_of(bucket)).s3_client()
    theirs = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "scratch/"},
        "Expiration": {"Days": 1},
    }
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket.bucket, LifecycleConfiguration={"Rules": [theirs]}
    )

    ensure_bucket(client, bucket.bucket)

    rules = client.get_bucket_lifecycle_configuration(Bucket=bucket.bucket)["Rules"]
    assert {rule["Filter"]["Prefix"] for rule in rules} == {"scratch/", "exports/"}


def test_exports_go_after_a_week_also_without_a_rule(bucket):
    client = boto3_client(bucket)
    for key in ("exports/a/data.csv", "exports/b.csv", "raw/plays/date=2026-11-01/data.parquet"):
        client.put_object(Bucket=bucket.bucket, Key=key, Body=b"x")
    now = datetime.now(tz=UTC)

    assert sweep_exports(client, bucket.bucket, now=now + timedelta(days=6, hours=23)) == 0
    assert sweep_exports(client, bucket.bucket, now=now + timedelta(days=7, hours=1)) == 2
    left = client.list_objects_v2(Bucket=bucket.bucket)["Contents"]
    assert [item["Key"] for item in left] == ["raw/plays/date=2026-11-01/data.parquet"]


def test_a_store_that_refuses_the_rule_is_no_failure(bucket, monkeypatch):
    client = boto3_client(bucket)

    def refuse(**_: object) -> None:
        error = {"Error": {"Code": "NotImplemented", "Message": ""}}
        raise client.exceptions.ClientError(error, "PutBucketLifecycleConfiguration")

    client.delete_bucket_lifecycle(Bucket=bucket.bucket)
    monkeypatch.setattr(client, "put_bucket_lifecycle_configuration", refuse)
    assert ensure_bucket(client, bucket.bucket) == BucketReport(
        created=False, lifecycle_written=False, lifecycle_refused="NotImplemented"
    )
