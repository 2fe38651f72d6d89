import dataclasses
from datetime import date

import adbc_driver_postgresql.dbapi as adbc
import pytest

from lake_assets.catalog import PostgresSource, event
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.platform import (
    PlatformTable,
    open_export,
    select_statement,
)
from lake_assets.sources.postgres_session import with_session

PLAYS = event(
    "music/plays",
    "Plays.",
    group="Music",
    table="music.plays",
    tasks="lake.export_plays",
    key="play_id",
    columns="""
        play_id     string!     One id.
        share       float64     Share played.
        details     json        Details.
        created_at  timestamp!
    """,
)


def select(*, indexed: bool = True, **types: str) -> str:
    known = {"play_id": "text", "share": "float8", "details": "jsonb", "created_at": "timestamptz"}
    table = PlatformTable(dataset=PLAYS, types=known | types, watermark_is_indexed=indexed)
    return select_statement(table, date(2026, 2, 28))


def test_a_day_is_half_open_and_ordered_by_watermark_and_key():
    assert select() == (
        'SELECT "play_id", "share", "details"::text AS "details", "created_at" '
        'FROM "music"."plays" '
        """WHERE "created_at" >= TIMESTAMPTZ '2026-02-28T00:00:00+00:00' """
        """AND "created_at" < TIMESTAMPTZ '2026-03-01T00:00:00+00:00' """
        'ORDER BY "created_at", "play_id"'
    )


def test_without_an_index_no_sort_is_asked_of_the_database():
    assert "ORDER BY" not in select(indexed=False)


def test_a_timestamp_without_zone_is_utc():
    statement = select(created_at="timestamp")

    assert """"created_at" AT TIME ZONE 'UTC' AS "created_at\"""" in statement
    assert """WHERE "created_at" >= TIMESTAMP '2026-02-28'""" in statement


def test_ids_and_numbers_come_as_declared():
    statement = select(play_id="uuid", share="numeric")

    assert '"play_id"::text' in statement
    assert '"share"::text' in statement


def test_the_session_is_read_only_repeatable_and_utc(postgres):
    with adbc.connect(with_session(postgres.url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('transaction_read_only'), current_setting('timezone'),"
            " current_setting('transaction_isolation')"
        )
        assert cursor.fetchone() == ("on", "UTC", "repeatable read")


def test_options_of_the_url_are_kept():
    url = with_session("postgresql://a@h/db?options=-c%20statement_timeout%3D5&sslmode=require")

    assert "statement_timeout%3D5" in url
    assert "sslmode=require" in url
    assert "default_transaction_read_only%3Don" in url


def test_a_database_that_does_not_answer_may_answer_later():
    with (
        pytest.raises(SourceUnavailable, match="did not answer"),
        open_export("postgresql://nobody@127.0.0.1:1/none", PLAYS),
    ):
        pass


def test_a_table_that_is_not_there_will_not_come_by_waiting(postgres):
    nowhere = dataclasses.replace(PLAYS, source=PostgresSource(table="plays", schema="nowhere"))
    with (
        pytest.raises(SourceMismatch, match="no table nowhere.plays"),
        open_export(postgres.url, nowhere),
    ):
        pass
