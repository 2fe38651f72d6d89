"""A few steps of the soak (`make soak` goes on for longer), and that it finds faults."""

import uuid
from dataclasses import replace

import pytest

from lake_assets.orchestration import io_manager
from lake_assets.storage import writer
from tests.soak.lake import COLUMNS, DAYS, Part, Soak

STEPS = 20


@pytest.fixture
def soak(bucket, postgres) -> Soak:
    schema = f"soak_{uuid.uuid4().hex[:8]}"
    return Soak(Part(location=bucket, postgres_url=postgres.url, schema=schema), seed=11)


def test_no_row_is_lost_that_was_not_let_go(soak):
    for _ in range(STEPS):
        soak.step()

    # What is said to hold was met.
    assert soak.counts["green"]
    assert soak.counts["red"]
    assert soak.counts["killed"]


@pytest.fixture
def day(soak):
    """A day of 100 rows that a run has written."""
    soak.sql(f"DELETE FROM {soak.part.schema}.refused")
    soak._insert("refused", DAYS[0], 100)
    soak._run("refused", DAYS[:1])
    return DAYS[0]


def lose(soak, rows: int) -> None:
    table = f"{soak.part.schema}.refused"
    soak.sql(f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {rows})")


def test_it_finds_a_lake_that_lets_rows_go(soak, day, monkeypatch):
    monkeypatch.setattr(writer, "refuse_loss", lambda *_args, **_options: None)
    lose(soak, 11)

    with pytest.raises(AssertionError, match=f"{day}: 11 rows lost of 100"):
        soak._run("refused", [day])


def test_it_finds_a_lake_that_loses_a_little_each_time(soak, day, monkeypatch):
    monkeypatch.setattr(writer, "FULLEST_METADATA", "lake.forgotten")
    lose(soak, 8)
    soak._run("refused", [day])
    lose(soak, 8)

    with pytest.raises(AssertionError, match=f"{day}: 16 rows lost of 100"):
        soak._run("refused", [day])


def test_it_finds_a_lake_that_loses_a_column(soak, day, monkeypatch):
    monkeypatch.setattr(writer, "refuse_loss", lambda *_args, **_options: None)
    soak._rename("refused", day)

    with pytest.raises(AssertionError, match=f"`{COLUMNS[2]}` lost its values"):
        soak._run("refused", [day])


def test_it_finds_a_run_that_reports_less_than_it_did(soak, day, monkeypatch):
    told = io_manager.partition_metadata
    monkeypatch.setattr(
        io_manager, "partition_metadata", lambda written: told(replace(written, lost_rows=0))
    )
    lose(soak, 8)

    with pytest.raises(AssertionError, match="it reported"):
        soak._run("refused", [day])


def test_it_finds_a_green_run_that_left_rows_out(soak, day, monkeypatch):
    conformed = writer.conform
    monkeypatch.setattr(
        writer, "conform", lambda batch, dataset: conformed(batch.slice(0, 95), dataset)
    )
    soak._insert("refused", day, 5)

    with pytest.raises(AssertionError, match=f"{day} is not what the source has"):
        soak._run("refused", [day])
