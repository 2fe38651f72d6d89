"""Whatever ends a file early leaves nothing behind: its time, its sender, a killed process."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import obstore
import pytest

from lake_api.artifacts.service import ArtifactService
from lake_api.artifacts.store import ArtifactStore, NewArtifact
from lake_api.database.database import Database
from lake_api.exports.objects import PART_BYTES, ExportObjects
from lake_api.identity import Caller, Role
from lake_api.jobs.store import JobStore
from lake_api.query.reader_store import open_small
from lake_api.settings import Settings
from lake_assets.catalog import LakeLocation
from tests.conftest import boto3_client

CALLER = Caller(role=Role.AGENT, name="aurora")
LEASE = timedelta(seconds=360)


class Bench:
    """A service of its own over a bucket; `now` is what it takes the time for."""

    def __init__(self, database: Database, objects: ExportObjects, deployment: UUID) -> None:
        self.now = datetime.now(UTC)
        self.store = ArtifactStore(
            database, clock=lambda: self.now, quota_bytes=10**9, count=100, lease=LEASE
        )
        self.objects = objects
        self.prefix = f"exports/artifacts/{deployment}/"
        self.service = ArtifactService(
            store=self.store,
            objects=objects,
            settings=Settings.from_mapping({}),
            deployment=deployment,
        )

    async def keep(self, data: bytes = b"x", *, life_s: int = 3_600) -> UUID:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return (await self.service.keep(CALLER, new(len(data), life_s=life_s), chunks())).id


def new(size_bytes: int, *, life_s: int = 3_600) -> NewArtifact:
    life = timedelta(seconds=life_s)
    return NewArtifact(name="x", is_shared=False, size_bytes=size_bytes, life=life)


@asynccontextmanager
async def bench_over(bucket: LakeLocation, folder: Path) -> AsyncGenerator[Bench]:
    database = await Database.open(f"sqlite:///{folder}/service.db")
    objects = ExportObjects(bucket, link_location=bucket)
    jobs = JobStore(database, clock=lambda: datetime.now(UTC), live_limit=1, retries=1, lives={})
    try:
        yield Bench(database, objects, await jobs.deployment())
    finally:
        await objects.close()
        await database.close()


@pytest.fixture
def run(bucket: LakeLocation, tmp_path: Path) -> Callable[..., None]:
    def run(check: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
        async def checked() -> None:
            async with bench_over(bucket, tmp_path) as bench:
                await check(bench)

        asyncio.run(checked())

    return run


def keys(bucket: LakeLocation) -> list[str]:
    return [item["path"] for item in obstore.list(open_small(bucket), "exports/").collect()]


def uploads(bucket: LakeLocation) -> list[Any]:
    """Uploads of parts that are not complete."""
    found = boto3_client(bucket).list_multipart_uploads(Bucket=bucket.bucket)
    return found.get("Uploads", [])


def has_part(bucket: LakeLocation) -> bool:
    """Whether a part has come of every upload, and there is one: its row has its id by then."""
    client, found = boto3_client(bucket), uploads(bucket)
    return bool(found) and all(
        client.list_parts(Bucket=bucket.bucket, Key=one["Key"], UploadId=one["UploadId"]).get(
            "Parts"
        )
        for one in found
    )


def test_a_file_whose_time_is_over_is_swept_and_others_stay(run: Any, bucket: LakeLocation):
    async def check(bench: Bench) -> None:
        short, long = await bench.keep(life_s=60), await bench.keep()
        bench.now += timedelta(seconds=61)
        assert (await bench.service.listed(CALLER, page=1, page_size=9))[1] == 1
        await bench.service.sweep()
        assert keys(bucket) == [f"{bench.prefix}{long}"]
        assert await bench.store.known({short, long}) == {long}

    run(check)


def test_what_a_process_that_was_killed_began_is_swept_once_its_lease_is_over(
    run: Any, bucket: LakeLocation
):
    async def check(bench: Bench) -> None:
        # Killed when the object was whole, and when some of its parts were there.
        whole, parts = [await bench.store.reserve(CALLER, new(1)) for _ in range(2)]
        await bench.objects.put(f"{bench.prefix}{whole.id}", [b"x"], content_type="x/x")
        key = f"{bench.prefix}{parts.id}"
        upload_id = await bench.objects.begin(key, content_type="x/x")
        await bench.store.note_upload(parts.id, upload_id)
        await bench.objects.put_part(key, upload_id, 1, [b"x" * 6_000_000])
        await bench.service.sweep()
        assert len(keys(bucket)) == 1
        assert len(uploads(bucket)) == 1
        assert (await bench.service.listed(CALLER, page=1, page_size=9))[1] == 0
        bench.now += LEASE + timedelta(seconds=1)
        await bench.service.sweep()
        assert keys(bucket) == []
        assert uploads(bucket) == []
        assert await bench.store.known({whole.id, parts.id}) == set()

    run(check)


def test_an_object_that_has_no_row_is_swept_but_no_one_elses(run: Any, bucket: LakeLocation):
    async def check(bench: Bench) -> None:
        mine = await bench.keep()
        others = f"exports/artifacts/{uuid4()}/{uuid4()}"
        for key in (f"{bench.prefix}{uuid4()}", f"{bench.prefix}stray.txt", others):
            await bench.objects.put(key, [b"x"], content_type="x/x")
        await bench.service.sweep()
        assert sorted(keys(bucket)) == sorted([f"{bench.prefix}{mine}", others])

    run(check)


def test_a_file_that_took_too_long_is_not_kept(run: Any, bucket: LakeLocation):
    async def check(bench: Bench) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"x"
            bench.now += LEASE + timedelta(seconds=1)

        with pytest.raises(Exception, match="did not arrive") as caught:
            await bench.service.keep(CALLER, new(1), chunks())
        assert caught.value.http_status == 408  # type: ignore[attr-defined]
        assert keys(bucket) == []

    run(check)


def test_quotas_hold_for_files_that_come_at_the_same_time(run: Any):
    async def check(bench: Bench) -> None:
        outcomes = await asyncio.gather(
            *(bench.store.reserve(CALLER, new(300_000_000)) for _ in range(6)),
            return_exceptions=True,
        )
        assert sum(not isinstance(one, Exception) for one in outcomes) == 3

    run(check)


@pytest.fixture
def service_process(bucket: LakeLocation, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """The service as a process of its own, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "MINIO_URL": bucket.endpoint,
        "MINIO_ACCESS_KEY": bucket.access_key,
        "MINIO_SECRET_KEY": bucket.secret_key,
        "LAKE_ALLOW_WRITER_KEY": "on",
        "LAKE_BUCKET": bucket.bucket,
        "LAKE_EXPORT_ACCESS_KEY": bucket.access_key,
        "LAKE_EXPORT_SECRET_KEY": bucket.secret_key,
        "LAKE_CACHE_DIR": str(tmp_path / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
        "LAKE_QUERY_WORKERS": "1",
        "LAKE_HEAVY_WORKERS": "0",
    }
    command = [sys.executable, "-m", "lake_api.serve", "--port", str(port)]
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            poll(lambda: answers(f"http://127.0.0.1:{port}"))
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def poll(found: Callable[[], Any], *, deadline_s: float = 60) -> None:
    end = time.monotonic() + deadline_s
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def send_half(url: str) -> socket.socket:
    """A sender that stops in the middle of a file, with more than a part of it sent."""
    port = int(url.rpartition(":")[2])
    sender = socket.create_connection(("127.0.0.1", port))
    sender.sendall(
        b"POST /api/v1/internal/lake/artifacts?name=x HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 40000000\r\n\r\n"
    )
    sender.sendall(b"x" * (PART_BYTES + 1))
    return sender


def test_kill_9_in_the_middle_of_a_file(service_process: Any, run: Any, bucket: LakeLocation):
    process, url = service_process
    with send_half(url):
        poll(lambda: has_part(bucket))
        process.kill()
        process.wait()

    async def check(bench: Bench) -> None:
        bench.now += LEASE + timedelta(seconds=1)
        await bench.service.sweep()
        assert keys(bucket) == []
        assert uploads(bucket) == []
        assert await bench.store.doomed(count=9) == []

    run(check)


def test_a_sender_that_goes_away_leaves_nothing_at_once(service_process: Any, bucket: LakeLocation):
    _, url = service_process
    with send_half(url):
        poll(lambda: uploads(bucket))
    poll(lambda: not uploads(bucket), deadline_s=20)
    assert keys(bucket) == []
    listed = httpx.get(f"{url}/api/v1/internal/lake/artifacts", trust_env=False)
    assert listed.json()["total"] == 0
