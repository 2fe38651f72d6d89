import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from adbc_driver_postgresql import dbapi

from lake_api.stack import postgres_home
from lake_api.stack.postgres import EmbeddedPostgres, PostgresServer
from tests.stack.conftest import Eventually


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield server
    server.discard()


def rows(url: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def table(postgres: PostgresServer) -> Iterator[str]:
    """A table of the owner, in a schema that is not the public one."""
    rows(postgres.url, "CREATE SCHEMA stack")
    rows(postgres.url, "CREATE TABLE stack.facts AS SELECT generate_series(1, 3) AS n")
    yield "stack.facts"
    rows(postgres.url, "DROP SCHEMA stack CASCADE")


def test_the_reader_reads_what_the_owner_makes_with_both_drivers(
    postgres: PostgresServer, table: str
) -> None:
    query = f"SELECT sum(n) FROM {table}"
    assert rows(postgres.reader_url, query) == [(6,)]
    with dbapi.connect(postgres.reader_url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall() == [(6,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM stack.facts",
        "CREATE TABLE public.mine (n int)",
        "SET default_transaction_read_only = off; DELETE FROM stack.facts",
        "BEGIN READ WRITE; INSERT INTO stack.facts VALUES (4); COMMIT",
        "SET default_transaction_read_only = off; CREATE TABLE public.mine (n int)",
        "SET default_transaction_read_only = off; CREATE DATABASE mine",
    ],
)
def test_the_reader_writes_nothing(postgres: PostgresServer, table: str, statement: str) -> None:
    with pytest.raises(
        (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)
    ):
        rows(postgres.reader_url, statement)
    assert rows(postgres.url, f"SELECT count(*) FROM {table}") == [(3,)]


def test_the_reader_does_not_see_dagsters_database(postgres: PostgresServer) -> None:
    assert rows(postgres.dagster_url, "SELECT current_database()") == [("dagster",)]
    reader = postgres.reader_url.removesuffix("platform") + "dagster"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        rows(reader, "SELECT 1")


def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    user, _, rest = postgres.url.partition("@")
    name = user.rpartition(":")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        rows(f"{name}:guessed@{rest}", "SELECT 1")


def test_it_listens_on_loopback_only(postgres: PostgresServer) -> None:
    listening = {
        connection.laddr[:2]
        for connection in psutil.Process(postgres.child.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", postgres.port)}


def test_rows_and_passwords_survive_a_restart(
    embedded: EmbeddedPostgres, postgres: PostgresServer
) -> None:
    first = embedded.start()
    try:
        assert first.port != postgres.port
        rows(first.url, "CREATE TABLE kept AS SELECT 'Größe' AS word")
    finally:
        first.stop()
    assert first.child.exit_code == 0

    second = embedded.start()
    try:
        ours = first.reader_url.replace(f":{first.port}/", f":{second.port}/")
        assert second.reader_url == ours
        assert rows(ours, "SELECT word FROM kept") == [("Größe",)]
    finally:
        second.stop()


def test_a_killed_server_starts_again_with_its_rows(
    embedded: EmbeddedPostgres, eventually: Eventually, is_gone: Callable[[int], bool]
) -> None:
    first = embedded.start()
    rows(first.url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    backends = psutil.Process(first.child.pid).children(recursive=True)
    psutil.Process(first.child.pid).kill()
    assert eventually(lambda: is_gone(first.child.pid))
    first.stop()
    # Backends notice by themselves that their server is gone.
    assert eventually(lambda: all(is_gone(backend.pid) for backend in backends))

    second = embedded.start()
    try:
        assert rows(second.url, "SELECT count(*) FROM kept") == [(1000,)]
    finally:
        second.stop()


def test_passwords_are_for_the_owner_only(embedded: EmbeddedPostgres) -> None:
    server = embedded.start()
    try:
        secrets = list(embedded.directory.glob("*.secret"))
        assert len(secrets) == 3
        assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
        assert stat.S_IMODE(server.data_directory.stat().st_mode) == 0o700
        assert "lake_owner" not in repr(server)
    finally:
        server.stop()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must give Postgres away")


@needs_root
def test_as_root_closed_folders_stay_closed_and_data_go_outside(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    embedded = EmbeddedPostgres(closed / "postgres")
    server = embedded.start()
    try:
        assert psutil.Process(server.child.pid).username() == postgres_home.SYSTEM_USER
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        told = (closed / "postgres" / "data-location").read_text().strip()
        assert server.data_directory == Path(told) / "data"
        assert tmp_path not in server.data_directory.parents
    finally:
        server.stop()
    assert server.data_directory.exists()
    embedded.discard()
    assert not Path(told).exists()


@needs_root
def test_as_root_programs_that_others_cannot_read_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(postgres_home, "_shared_root", lambda: shared)
    install = tmp_path / "private" / "install"
    for folder in ("bin", "lib", "share"):
        (install / folder).mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    for name in ("postgres", "initdb"):
        (install / "bin" / name).write_text("program")
        (install / "bin" / name).chmod(0o700)
    (tmp_path / "state").mkdir()

    home = postgres_home.find_home(tmp_path / "state", install)

    assert home.binaries.is_relative_to(shared)
    assert stat.S_IMODE((home.binaries / "postgres").stat().st_mode) == 0o755
    assert postgres_home.find_home(tmp_path / "state", install) == home
    assert stat.S_IMODE((install / "bin" / "postgres").stat().st_mode) == 0o700


@needs_root
def test_as_root_data_of_projects_that_are_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_home, "_shared_root", lambda: tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    install = tmp_path / "install"
    for folder in ("bin", "lib", "share"):
        (install / folder).mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (install / "bin" / name).touch(mode=0o755)
    gone = closed / "gone"
    gone.mkdir()
    left = postgres_home.find_home(gone, install).directory
    assert left.is_dir()
    gone_data = left / "data"
    gone_data.mkdir()
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()

    (closed / "other").mkdir()
    postgres_home.find_home(closed / "other", install)

    assert not left.exists()
