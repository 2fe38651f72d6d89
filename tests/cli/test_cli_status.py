"""What the commands say about a stack that runs, and about none."""

import json
import os
import subprocess

import pytest

from lake_api.stack.state import StackState
from lake_assets.catalog import load_catalog
from tests.cli.conftest import lake


def test_status_of_nothing_is_told_by_the_exit_code():
    result = lake("status", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"running": False}
    assert lake("status").exit_code == 1


def test_status_as_json_names_urls_parts_and_the_key_file(running: StackState):
    result = lake("status", "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    for name in ("api_url", "dagster_url", "s3_endpoint", "internal_api_key_file", "schedules"):
        assert facts[name] == getattr(running, name)
    assert facts["running"] is True
    assert facts["datasets"] == len(load_catalog())
    assert {name: part["state"] for name, part in facts["parts"].items()} == {
        "api": "running",
        "postgres": "external",
    }


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_status_tells_no_secret(running: StackState, flags: tuple[str, ...]):
    output = lake("status", *flags).output
    assert running.settings["MINIO_SECRET_KEY"] not in output
    assert "key-of-the-admin" not in output


def test_status_for_people_shows_parts_and_urls(running: StackState):
    output = lake("status").stdout
    assert running.api_url in output
    assert running.dagster_url in output
    assert "external" in output


def test_a_second_up_says_where_the_first_one_is(running: StackState):
    for flags in ((), ("--detach",)):
        result = lake("up", *flags)
        assert result.exit_code == 1
        assert running.api_url in result.stderr
        assert running.dagster_url in result.stderr
        assert "`lake down` stops it" in result.stderr


def test_down_without_a_stack_is_no_failure():
    result = lake("down")
    assert result.exit_code == 0
    assert "was not running" in result.stdout


@pytest.mark.usefixtures("running")
def test_logs_are_the_last_lines_of_a_part():
    assert lake("logs", "api", "--lines", "2").stdout == "two\nthree\n"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("part", "says"), [("apy", "Did you mean `api`?"), ("postgres", "is your own server")]
)
def test_logs_of_what_has_none_are_explained(part: str, says: str):
    result = lake("logs", part)
    assert result.exit_code == 1
    assert says in result.stderr


def test_env_is_what_a_shell_takes(running: StackState):
    exports = lake("env").stdout
    shell = subprocess.run(
        ["/bin/sh", "-c", f'{exports}\nprintf "%s %s" "$MINIO_SECRET_KEY" "$LAKE_API_URL"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.defpath},
    )
    assert shell.stdout == f"it's secret {running.api_url}"


@pytest.mark.usefixtures("running")
def test_sample_data_goes_into_no_database_unasked():
    result = lake("sample-data")
    assert result.exit_code == 1
    assert "--database-url" in result.stderr


def test_a_database_that_does_not_answer_is_one_clear_line():
    result = lake("sample-data", "--database-url", "postgresql://nobody:pw@127.0.0.1:1/none")
    assert result.exit_code == 1
    assert result.stderr.startswith("lake: the database did not take it: ")
    assert "pw@" not in result.stderr
    assert len(result.stderr.splitlines()) == 2
