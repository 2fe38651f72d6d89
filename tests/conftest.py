"""The real parts that tests talk to, each started once per session."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from lake_api.stack.environment import prepare_process
from lake_api.stack.postgres import EmbeddedPostgres, PostgresServer
from lake_api.stack.s3 import EmbeddedS3, S3Server
from lake_assets.catalog import LakeLocation
from lake_assets.orchestration.resources import LakeResource
from lake_assets.storage.bucket import ensure_bucket


def pytest_configure() -> None:
    """As the commands do it: keys, servers and proxies of the machine are not for the tests."""
    prepare_process()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with the lake's bucket."""
    server = EmbeddedS3(tmp_path_factory.mktemp("s3")).start()
    try:
        ensure_bucket(boto3_client(server.writer), server.writer.bucket)
        yield server
    finally:
        server.stop()


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[LakeLocation]:
    """An empty bucket of the test's own, as the writer."""
    location = replace(s3.writer, bucket=f"test-{uuid.uuid4().hex[:12]}")
    ensure_bucket(boto3_client(location), location.bucket)
    yield location
    remove_bucket(location)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real Postgres server."""
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server = embedded.start()
    try:
        yield server
    finally:
        server.stop()
        embedded.discard()


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).parents[1]


def boto3_client(location: LakeLocation):
    return _client_for_any_bucket(replace(location, bucket="any"))


@cache
def _client_for_any_bucket(location: LakeLocation):
    # Making a client takes longer than most of what tests do with it.
    return LakeResource(env=settings_of(location)).s3_client()


def remove_bucket(location: LakeLocation) -> None:
    """Remove a bucket with all that it holds; the server has room for some, not for one a test."""
    empty_bucket(location)
    boto3_client(location).delete_bucket(Bucket=location.bucket)


def empty_bucket(location: LakeLocation) -> None:
    client = boto3_client(location)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if keys:
            client.delete_objects(Bucket=location.bucket, Delete={"Objects": keys})


def settings_of(location: LakeLocation) -> dict[str, str]:
    """The environment that names a location."""
    return {
        "MINIO_URL": location.endpoint,
        "MINIO_ACCESS_KEY": location.access_key,
        "MINIO_SECRET_KEY": location.secret_key,
        "LAKE_ALLOW_WRITER_KEY": "on",
        "LAKE_BUCKET": location.bucket,
    }
