"""`lake sample-data` on a database of the test's own."""

import json
import uuid
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from lake_api.stack.postgres import PostgresServer
from lake_assets.sample_data import load
from lake_assets.sample_data.tables import Table
from tests.cli.conftest import lake

FLAGS = ("--days", "2", "--rows-per-day", "40", "--last-day", "2026-11-21")


@pytest.fixture
def database_url(postgres: PostgresServer) -> str:
    name = f"cli_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlsplit(postgres.url)._replace(path=f"/{name}").geturl()


def test_it_fills_every_table_and_says_how_much(database_url: str):
    result = lake("sample-data", *FLAGS, "--json", "--database-url", database_url)
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["first_day"], facts["last_day"]) == ("2026-11-20", "2026-11-21")
    with psycopg.connect(database_url) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM agent_run_logs").fetchone() or (0,)
    assert rows == facts["tables"]["public.agent_run_logs"] > 0
    assert "tables filled" in result.stderr


def test_a_table_that_is_no_sample_stays(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE agent_run_logs (precious text)")
    result = lake("sample-data", *FLAGS, "--database-url", database_url)
    assert result.exit_code == 1
    assert "agent_run_logs" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("  Nothing was changed")


def test_a_database_that_does_not_answer_has_a_hint_of_its_own():
    away = lake("sample-data", *FLAGS, "--database-url", "postgresql://u:p@127.0.0.1:9/x")
    assert away.exit_code == 1
    assert "host, port, role, password" in away.stderr


def test_rows_that_do_not_fit_are_a_fault_of_ours(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    def twice(_connection: psycopg.Connection, table: Table, _frames: object) -> int:
        raise psycopg.errors.UniqueViolation(f"could not create unique index of {table.partition}")

    monkeypatch.setattr(load, "_fill", twice)
    result = lake("sample-data", *FLAGS, "--database-url", database_url)
    assert result.exit_code == 1
    assert "agent_run_log" in result.stderr
    assert "--database-url" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("  The database is all right")
