"""Whatever happens to a file of the cache, an answer is the true one."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query import object_cache as object_cache_module
from lake_api.query import segments as segments_module
from lake_api.query import stored_rows as stored_rows_module
from lake_api.query.file_check import stamp_of
from tests.conftest import remove_bucket
from tests.query.conftest import RUNS, USAGE, Lake, run_rows, usage_rows

DAYS = [date(2026, 11, number) for number in range(1, 20)]
SQL = """
    SELECT md5(string_agg(concat_ws('|', run_id, agent_id, tokens, cost_usd, created_at, date), ','
           ORDER BY run_id)) AS every_value, count(*) AS row_count
    FROM agent_run_log
"""
SETTINGS = {"LAKE_RESULT_CACHE_BYTES": "1", "LAKE_SEGMENT_BYTES": "1"}
OTHER_SQL = "SELECT count(*) FROM platform_llm_token_usage"
NAMES = [f"agent-{number % 37}" for number in range(400)]


@pytest.fixture(scope="module")
def damaged_lake(new_lake) -> Iterator[Lake]:
    """Some days of runs; answers are not kept, so that every query reads its files."""
    lake = new_lake()
    for day in DAYS:
        lake.put(RUNS, day, run_rows(day, NAMES, tokens=day.day * 1_000))
        lake.put(USAGE, day, usage_rows(day, ["small"]))
    lake.start(**SETTINGS)
    yield lake
    lake.stop()
    remove_bucket(lake.location)


def restart(lake: Lake) -> None:
    lake.stop()
    lake.start(**SETTINGS)


def cached(lake: Lake, day: date = DAYS[1], dataset: str = "agent_run_log") -> Path:
    folder = lake.cache / "slot-0" / "data" / "objects" / dataset / f"date={day}"
    (path,) = folder.glob("*.parquet")
    return path


def write_over(path: Path, content: bytes) -> None:
    """Other bytes in the same file: the inode stays."""
    path.chmod(0o600)
    path.write_bytes(content)


def flip(path: Path, place: random.Random) -> None:
    content = bytearray(path.read_bytes())
    bit = place.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    write_over(path, bytes(content))


def test_sixty_flipped_bits_while_the_service_runs(damaged_lake):
    truth, place = damaged_lake.rows(SQL), random.Random(22)
    for _ in range(60):
        flip(cached(damaged_lake, place.choice(DAYS)), place)
        assert damaged_lake.rows(SQL) == truth
    assert damaged_lake.engine.stats().cache_damaged == 60


def test_flipped_bits_in_more_files_than_are_looked_at_first(damaged_lake, monkeypatch):
    monkeypatch.setattr(object_cache_module, "_LOOKED_AT", 0)
    truth, place = damaged_lake.rows(SQL), random.Random(27)
    for _ in range(10):
        flip(cached(damaged_lake, place.choice(DAYS)), place)
        assert damaged_lake.rows(SQL) == truth
    assert damaged_lake.rows(OTHER_SQL) == [[len(DAYS)]]
    for harm in HARMS:
        harm(cached(damaged_lake))
        assert damaged_lake.rows(SQL) == truth


def test_flipped_bits_between_two_runs_of_the_service(damaged_lake):
    truth, place = damaged_lake.rows(SQL), random.Random(23)
    for day in DAYS:
        flip(cached(damaged_lake, day), place)
    restart(damaged_lake)
    assert damaged_lake.rows(SQL) == truth
    assert damaged_lake.engine.stats().cache_damaged == len(DAYS)


def test_the_files_of_a_stopped_service_are_used_again(damaged_lake):
    truth = damaged_lake.rows(SQL)
    restart(damaged_lake)
    result = damaged_lake.query(SQL)
    assert (damaged_lake.rows(SQL), result.fetched_bytes) == (truth, 0)


def truncated(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    write_over(path, b"")


def grown(path: Path) -> None:
    write_over(path, path.read_bytes() + b"PAR1")


def zeroed(path: Path) -> None:
    write_over(path, bytes(path.stat().st_size))


def deleted(path: Path) -> None:
    path.unlink()


def its_folder_deleted(path: Path) -> None:
    shutil.rmtree(path.parent)


def its_folder_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"no folder")


def made_unreadable(path: Path) -> None:
    path.chmod(0)


def given_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(path, 65_534, 65_534)
    path.chmod(0o200)


def a_folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def an_endless_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def another_days_content(path: Path) -> None:
    write_over(path, next(path.parent.parent.glob(f"date={DAYS[0]}/*.parquet")).read_bytes())


def another_days_file(path: Path) -> None:
    other = next(path.parent.parent.glob(f"date={DAYS[0]}/*.parquet"))
    shutil.copy2(other, path.with_suffix(".copy"))
    path.with_suffix(".copy").rename(path)


def another_dataset(path: Path) -> None:
    folder = path.parent.parent.parent / "platform_llm_token_usage" / path.parent.name
    write_over(path, next(folder.glob("*.parquet")).read_bytes())


def other_rows_of_the_same_size(path: Path) -> None:
    content = path.read_bytes()
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE (tokens + 1 AS tokens) FROM '{path}') "
            f"TO '{path}.new' (FORMAT parquet)"
        )
    other = Path(f"{path}.new").read_bytes()
    Path(f"{path}.new").unlink()
    write_over(path, other.ljust(len(content), b"\0")[: len(content)])


HARMS = [
    truncated,
    emptied,
    grown,
    zeroed,
    deleted,
    its_folder_deleted,
    its_folder_a_file,
    made_unreadable,
    given_away,
    a_folder_instead,
    a_dangling_link,
    an_endless_device,
    another_days_content,
    another_days_file,
    another_dataset,
    other_rows_of_the_same_size,
]


@pytest.mark.parametrize("harm", HARMS, ids=[one.__name__ for one in HARMS])
def test_a_harmed_file_is_fetched_again(damaged_lake, harm: Callable[[Path], None]):
    truth = damaged_lake.rows(SQL)
    assert damaged_lake.rows(OTHER_SQL) == [[len(DAYS)]]
    harm(cached(damaged_lake))
    assert damaged_lake.rows(SQL) == truth
    assert damaged_lake.rows(SQL) == truth


def test_files_that_were_harmed_between_two_runs_are_fetched_again(damaged_lake):
    truth = damaged_lake.rows(SQL)
    assert damaged_lake.rows(OTHER_SQL) == [[len(DAYS)]]
    for harm, day in zip(HARMS, DAYS[1:], strict=False):
        harm(cached(damaged_lake, day))
    restart(damaged_lake)
    assert damaged_lake.rows(SQL) == truth
    assert damaged_lake.rows(SQL) == truth


def test_the_whole_cache_is_removed_while_the_service_runs(damaged_lake):
    """Workers may read the folder that they were shown: they are shown the new one."""
    truth = damaged_lake.rows(SQL)
    for folder in ("data", "engine", "snapshots"):
        shutil.rmtree(damaged_lake.cache / "slot-0" / folder)
        assert damaged_lake.rows(SQL) == truth
        assert damaged_lake.query(SQL).warnings == ()


def test_a_file_that_is_harmed_while_the_query_reads_it(damaged_lake, monkeypatch):
    """The stamp is looked at again when the worker has answered."""
    truth, place = damaged_lake.rows(SQL), random.Random(24)
    real, harmed = stored_rows_module.HeldRows.views, []

    def views(self):
        if len(harmed) < 1:
            harmed.append(self)
            content = bytearray(cached(damaged_lake).read_bytes())
            content[len(content) // 3] ^= 1 << place.randrange(8)
            write_over(cached(damaged_lake), bytes(content))
        return real(self)

    monkeypatch.setattr(stored_rows_module.HeldRows, "views", views)
    assert damaged_lake.rows(SQL) == truth
    assert harmed


def test_a_file_that_is_harmed_again_and_again_is_told_without_blame(damaged_lake, monkeypatch):
    truth = damaged_lake.rows(SQL)
    real = stored_rows_module.HeldRows.views

    def views(self):
        os.utime(cached(damaged_lake))
        cached(damaged_lake).unlink()
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(stored_rows_module.HeldRows, "views", views)
        with pytest.raises(QueryUnavailable) as caught:
            damaged_lake.query(SQL)
    assert (caught.value.code, caught.value.retry) == ("cached_data_damaged", True)
    assert f"`agent_run_log` for {DAYS[1]}" in caught.value.detail
    assert damaged_lake.rows(SQL) == truth


def test_the_scrub_finds_what_no_stamp_shows(damaged_lake):
    truth = damaged_lake.rows(SQL)
    objects = damaged_lake.engine._files.objects
    before = objects.damaged
    flip(cached(damaged_lake), random.Random(25))
    rotten = cached(damaged_lake)
    # A medium that returns other bytes leaves the stamp as it was.
    (file,) = (one for one in objects._files.values() if one.path == str(rotten))
    file.stamp = stamp_of(str(rotten))

    async def scrub_all() -> None:
        for _ in list(objects._files):
            await objects.scrub()

    damaged_lake.background.run(scrub_all())
    assert objects.damaged == before + 1
    assert not rotten.exists()
    assert damaged_lake.rows(SQL) == truth


def test_rot_that_stops_a_worker_is_found_at_once(damaged_lake):
    """A failure that damage may have caused has the files read, whatever their stamps say."""
    truth = damaged_lake.rows(SQL)
    objects = damaged_lake.engine._files.objects
    for rot in (bytes, lambda size: b"PAR1" + bytes(size - 8) + b"PAR1"):
        rotten = cached(damaged_lake)
        write_over(rotten, rot(rotten.stat().st_size))
        (file,) = (one for one in objects._files.values() if one.path == str(rotten))
        file.stamp = stamp_of(str(rotten))
        # What is known of the footer is forgotten, as after a restart.
        damaged_lake.engine._files._book.forget(str(rotten))
        assert damaged_lake.rows(SQL) == truth
        assert not rotten.exists()


SEGMENT_HARMS = [truncated, emptied, zeroed, deleted, made_unreadable, a_folder_instead]


@pytest.fixture(scope="module")
def segment_lake(new_lake) -> Iterator[Lake]:
    lake = new_lake()
    for day in DAYS:
        lake.put(RUNS, day, run_rows(day, NAMES, tokens=day.day * 1_000))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segments_module, "MIN_DAYS", 2)
        lake.start(LAKE_RESULT_CACHE_BYTES="1")
        yield lake
    lake.stop()
    remove_bucket(lake.location)


def build_segment(lake: Lake) -> Path:
    """Have a segment, and an answer from it."""

    async def built() -> None:
        store = lake.engine._files.segments
        while store.is_building or not store.used_bytes:
            if store._build is not None:
                await asyncio.wait({store._build})
            if not store.used_bytes:
                await lake.engine.run(lake.guard.check(SQL), limit=1)

    lake.background.run(built())
    (segment,) = lake.engine._files.segments._segments.values()
    return segment.path


@pytest.mark.parametrize("harm", SEGMENT_HARMS, ids=[one.__name__ for one in SEGMENT_HARMS])
def test_a_harmed_segment_is_read_no_more(segment_lake, harm: Callable[[Path], None]):
    path = build_segment(segment_lake)
    truth = segment_lake.rows(SQL)
    harm(path)
    assert segment_lake.rows(SQL) == truth
    assert not path.is_file()
    assert build_segment(segment_lake) != path
    assert segment_lake.rows(SQL) == truth


def test_flipped_bits_in_segments(segment_lake):
    truth, place = segment_lake.rows(SQL), random.Random(26)
    for _ in range(5):
        flip(build_segment(segment_lake), place)
        assert segment_lake.rows(SQL) == truth


def test_rot_in_a_segment_is_found_by_the_failure_or_the_scrub(segment_lake):
    truth = segment_lake.rows(SQL)
    store = segment_lake.engine._files.segments
    path = build_segment(segment_lake)
    (segment,) = store._segments.values()
    write_over(path, bytes(path.stat().st_size))
    stamp = stamp_of(str(path))
    object.__setattr__(segment, "stamp", stamp)
    segment_lake.background.run(store.scrub())
    assert not path.exists()
    assert segment_lake.rows(SQL) == truth


def test_an_object_that_was_stored_damaged_is_told_with_its_day(lake):
    """The copy is what storage has: it stays, and the caller learns which day it is."""
    for day in DAYS[:3]:
        lake.put(RUNS, day, run_rows(day, NAMES))
    content = bytearray(lake.stored(RUNS, DAYS[1]))
    # The first data page, behind the magic bytes and the page's header.
    content[60:400] = bytes(340)
    lake.put_bytes(RUNS, DAYS[1], bytes(content))
    lake.start(**SETTINGS)
    for _ in range(2):
        with pytest.raises(QueryUnavailable) as caught:
            lake.query(SQL)
        assert caught.value.code == "stored_data_unreadable"
        assert f"`agent_run_log` for {DAYS[1]}" in caught.value.detail
    assert lake.engine.stats().cache_damaged == 0
    rows = lake.rows(f"SELECT count(*) FROM agent_run_log WHERE date <> DATE '{DAYS[1]}'")
    assert rows == [[2 * len(NAMES)]]
