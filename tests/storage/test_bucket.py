import uuid
from dataclasses import replace

from lake_assets.orchestration.resources import LakeResource
from lake_assets.storage.bucket import BucketReport, ensure_bucket
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
