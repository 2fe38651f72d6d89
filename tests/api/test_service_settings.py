"""What the service does not start with: one line, and exit code 2."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from lake_api.serve import main as serve
from lake_api.settings import SETTINGS, all_names, check_environment
from lake_assets.catalog.settings import check_lake_settings, check_names


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], int]:
    """The service's start in this process, with another environment."""

    def started(env: dict[str, str]) -> int:
        monkeypatch.setattr("os.environ", env)
        monkeypatch.setattr("lake_api.serve.configure_logging", lambda: None)
        return serve(["--port", "0"])

    return started


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"LAKE_READER_ACESS_KEY": "x"}, ["LAKE_READER_ACESS_KEY", "LAKE_READER_ACCESS_KEY"]),
        ({"LAKE_INTERNAL_NETWORK": "none"}, ["LAKE_INTERNAL_NETWORKS"]),
        ({"MINIO_SECRUE": "true"}, ["MINIO_SECURE"]),
        ({"AINATIVE_INTERNAL_APIKEY": "x"}, ["AINATIVE_INTERNAL_API_KEY"]),
        ({"LAKE_CACHE_BYTES": "10GB"}, ["LAKE_CACHE_BYTES", "whole number of bytes", "10GB"]),
        ({"LAKE_SCHEDULES": "maybe"}, ["LAKE_SCHEDULES", "on or off"]),
        (
            {"LAKE_READER_ACCESS_KEY": "", "LAKE_READER_SECRET_KEY": ""},
            ["LAKE_READER_ACCESS_KEY", "LAKE_ALLOW_WRITER_KEY"],
        ),
        ({"LAKE_READER_SECRET_KEY": ""}, ["LAKE_READER_SECRET_KEY"]),
        ({"LAKE_EXPORT_ACCESS_KEY": "x"}, ["LAKE_EXPORT_SECRET_KEY"]),
        ({"LAKE_DATABASE_URL": "mysql://u:hush@h/x"}, ["LAKE_DATABASE_URL", "postgresql://"]),
        ({"LAKE_DATABASE_URL": "postgresql://u:hush@127.0.0.1:9/x"}, ["can't be opened"]),
        ({"LAKE_DATABASE_URL": "sqlite:////dev/null/x.db"}, ["can't be opened"]),
        ({"LAKE_CACHE_DIR": "/dev/null/cache"}, ["LAKE_CACHE_DIR"]),
        ({"MINIO_URL": "http://user:hush@host:1"}, ["MINIO_URL"]),
        ({"MINIO_URL": "http://host:port"}, ["MINIO_URL"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_it_cant_start_with_is_one_line(
    lake_env: dict[str, str],
    settings: dict[str, str],
    words: list[str],
    start: Callable[[dict[str, str]], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert start({**lake_env, **settings}) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert said.count("\n") == 1
    assert "hush" not in said


def test_a_database_of_another_program_ends_it_with_a_sentence(
    lake_env: dict[str, str],
    tmp_path: Any,
    start: Callable[[dict[str, str]], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, statement in {
        "revision": "CREATE TABLE alembic_version (version_num VARCHAR(32)); "
        "INSERT INTO alembic_version VALUES ('f00f00')",
        "table": "CREATE TABLE audit (id INTEGER)",
    }.items():
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as connection:
            connection.executescript(statement)
        url = f"sqlite:///{tmp_path}/{name}.db"
        assert start({**lake_env, "LAKE_DATABASE_URL": url}) == 2
        assert "of another program" in (said := capsys.readouterr().err) or "f00f00" in said


def test_no_setting_of_the_service_is_a_slip_of_another(lake_env: dict[str, str]) -> None:
    check_environment({**lake_env, **{setting.name: setting.default for setting in SETTINGS}})
    # The code server may share the environment with the service, whose table it does not know.
    check_lake_settings({setting.name: setting.default for setting in SETTINGS})


def test_names_that_the_cluster_sets_are_nobodys_settings() -> None:
    check_names(
        {
            "LAKE_API_SERVICE_HOST": "10.0.0.1",
            "LAKE_API_SERVICE_PORT_HTTP": "80",
            "LAKE_API_PORT": "tcp://10.0.0.1:80",
            "LAKE_API_PORT_80_TCP_ADDR": "10.0.0.1",
            "MINIO_ROOT_USER": "root",
            "MINIO_REGION_NAME": "eu",
        },
        all_names(),
    )
