"""`lake sample-data` on a database of the test's own."""

import json
import uuid
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from lake_api.stack.postgres import PostgresServer
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
