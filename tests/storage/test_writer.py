import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import data_key, event, version_key
from lake_assets.storage import multipart
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import ChangedMeanwhile, LakeStore, StorageError
from lake_assets.storage.writer import PartitionWriter
from tests.conftest import boto3_client

DAY = date(2026, 11, 21)
PLAYS = event(
    "music/plays",
    "Plays.",
    group="Music",
    table="plays",
    tasks="lake.export_plays",
    key="play_id",
    columns="""
        play_id     int64!      One id.
        title       string      Title.
        created_at  timestamp!
    """,
)


def batch(first: int, rows: int, title: str = "x") -> pa.RecordBatch:
    moment = datetime(2026, 11, 21, 12, tzinfo=UTC)
    return pa.RecordBatch.from_pydict(
        {
            "play_id": pa.array(range(first, first + rows), pa.int64()),
            "title": pa.array([title] * rows),
            "created_at": pa.array([moment] * rows, pa.timestamp("us", tz="UTC")),
        }
    )


def large_batches(count: int, rows: int = 20_000):
    """Incompressible rows of about 10 MB a batch, so that several parts are uploaded."""
    for index in range(count):
        titles = pa.array([os.urandom(250).hex() for _ in range(rows)])
        yield batch(index * rows, rows).set_column(1, "title", titles)


def writer_to(location, run_id="run-1") -> PartitionWriter:
    return PartitionWriter(LakeStore(location), run_id=run_id, code_version="v1")


def read(location, day=DAY) -> pa.Table:
    with LakeStore(location).open(data_key(PLAYS, day)) as file:
        return pq.read_table(file)


def test_a_partition_is_one_conformed_object_with_its_measures(bucket):
    written = writer_to(bucket).write(PLAYS, DAY, [batch(0, 3), batch(2, 2)])

    table = read(bucket)
    assert table.column("play_id").to_pylist() == [0, 1, 2, 2, 3]
    assert table.schema.remove_metadata() == arrow_schema(PLAYS).remove_metadata()
    assert (written.rows, written.duplicate_keys) == (5, 1)
    assert written.watermark_min == written.watermark_max == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert written.uri == f"s3://{bucket.bucket}/raw/music/plays/date=2026-11-21/data.parquet"
    with LakeStore(bucket).open(data_key(PLAYS, DAY)) as file:
        assert file.size() == written.size_bytes
        footer = pq.ParquetFile(file).metadata
    assert footer.row_group(0).column(0).compression == "SNAPPY"
    assert footer.row_group(0).column(0).statistics.max == 3
    assert footer.metadata[b"lake.run_id"] == b"run-1"
    assert footer.metadata[b"lake.code_version"] == b"v1"


def test_a_day_without_rows_is_a_typed_empty_object(bucket):
    written = writer_to(bucket).write(PLAYS, DAY, [])

    assert (written.rows, written.watermark_min) == (0, None)
    assert read(bucket).schema.remove_metadata() == arrow_schema(PLAYS).remove_metadata()


def test_a_large_day_goes_up_in_parts_and_comes_back_whole(bucket):
    written = writer_to(bucket).write(PLAYS, DAY, large_batches(12))

    assert written.size_bytes > 100_000_000
    assert read(bucket).column("play_id").to_pylist() == list(range(12 * 20_000))


@pytest.mark.parametrize("good_batches", [0, 12], ids=["single PUT", "multipart"])
def test_a_failure_in_mid_write_leaves_the_old_partition_whole(bucket, good_batches):
    writer = writer_to(bucket)
    writer.write(PLAYS, DAY, [batch(0, 3, "old")])

    def broken():
        yield from large_batches(good_batches)
        yield pa.RecordBatch.from_pydict({"play_id": ["not a number"]})

    with pytest.raises(SchemaMismatch):
        writer.write(PLAYS, DAY, broken())

    assert read(bucket).column("title").to_pylist() == ["old"] * 3


def _write_until_killed(location, started):
    def endless():
        for index, item in enumerate(large_batches(1000)):
            if index == 12:
                started.set()
            yield item

    writer_to(location).write(PLAYS, DAY, endless())


def test_a_writer_that_is_killed_leaves_the_old_partition_whole(bucket):
    writer_to(bucket).write(PLAYS, DAY, [batch(0, 3, "old")])
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_write_until_killed, args=(bucket, started))
    process.start()
    assert started.wait(timeout=60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    assert read(bucket).column("title").to_pylist() == ["old"] * 3


@pytest.mark.parametrize("large", [False, True], ids=["single PUT", "multipart"])
def test_of_two_writers_of_one_day_the_second_is_told(bucket, large):
    """Each has looked at what is stored before either is done: one object, whole, by the first."""
    writer_to(bucket).write(PLAYS, DAY, [batch(0, 3, "old")])
    both_looked = threading.Barrier(2, timeout=60)

    def rows(name: str):
        both_looked.wait()
        yield batch(0, 3, name)
        yield from large_batches(3 if large else 0)

    def write(name: str) -> str:
        try:
            writer_to(bucket, run_id=name).write(PLAYS, DAY, rows(name))
        except ChangedMeanwhile as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(write, ("a", "b")))

    assert said[0] == ""
    assert "meanwhile" in said[1]
    with LakeStore(bucket).open(data_key(PLAYS, DAY)) as file:
        parquet = pq.ParquetFile(file)
        run_id = parquet.metadata.metadata[b"lake.run_id"].decode()
        titles = parquet.read().column("title").to_pylist()
    assert titles[:3] == [run_id] * 3
    assert len(titles) == 3 + (60_000 if large else 0)


def test_of_uploads_that_end_at_the_same_instant_one_replaces_the_object(bucket):
    """The embedded S3 server compares and completes in two steps: without a lock, both pass."""
    client, key = boto3_client(bucket), "raw/music/plays/date=2026-11-21/data.parquet"
    for _ in range(8):
        etag = client.put_object(Bucket=bucket.bucket, Key=key, Body=b"old")["ETag"]
        both_sent = threading.Barrier(2, timeout=60)

        def parts(name: bytes, both_sent=both_sent):
            yield os.urandom(5 * 2**20)
            yield name
            both_sent.wait()

        def upload(name: bytes, etag=etag, parts=parts) -> bool:
            try:
                multipart.upload_parts(bucket, key, parts(name), etag=etag)
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            replaced = dict(zip((b"a", b"b"), pool.map(upload, (b"a", b"b")), strict=True))
        assert sorted(replaced.values()) == [False, True]
        content = client.get_object(Bucket=bucket.bucket, Key=key)["Body"].read()
        assert replaced[content[-1:]]
    assert "Contents" not in client.list_objects_v2(Bucket=bucket.bucket, Prefix=f"locks/{key}")


def test_the_lock_of_a_process_that_died_is_taken_over(bucket, monkeypatch):
    client, key = boto3_client(bucket), "raw/music/plays/date=2026-11-20/data.parquet"
    lock = {"Bucket": bucket.bucket, "Key": f"locks/{key}"}
    client.put_object(**lock, Body=b"of a process that died")
    monkeypatch.setattr(multipart, "LOCK_LEASE_S", 1.0)

    parts = iter([os.urandom(5 * 2**20), b"end"])
    multipart.upload_parts(bucket, key, parts, etag=None)

    assert client.head_object(Bucket=bucket.bucket, Key=key)["ContentLength"] == 5 * 2**20 + 3
    assert "Contents" not in client.list_objects_v2(Bucket=bucket.bucket, Prefix=lock["Key"])


def test_the_version_token_changes_with_every_bump(bucket):
    store = LakeStore(bucket)
    contents = set()
    for _ in range(2):
        store.bump_version(PLAYS, [DAY])
        with store.open(version_key(PLAYS)) as file:
            contents.add(file.read())

    assert len(contents) == 2


def test_days_are_listed_without_the_token(bucket):
    writer = writer_to(bucket)
    store = LakeStore(bucket)
    for day in (date(2026, 11, 21), date(2026, 11, 19)):
        writer.write(PLAYS, day, [])
    store.bump_version(PLAYS, [])

    assert store.days(PLAYS) == [date(2026, 11, 19), date(2026, 11, 21)]


def test_the_reader_may_not_write(s3):
    with pytest.raises(StorageError, match="writing to object storage failed"):
        LakeStore(s3.reader).put_whole("raw/music/plays/_version.json", b"{}")
