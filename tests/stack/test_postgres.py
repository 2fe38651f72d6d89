import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from adbc_driver_postgresql import dbapi

from lake_api.stack import postgres, postgres_home, postgres_programs
from lake_api.stack.errors import StackError
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


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that only its owner may enter."""
    folder = tmp_path / "a closed Größe"
    folder.mkdir(mode=0o700)
    return folder


@needs_root
def test_as_root_closed_folders_stay_closed_and_hold_the_data(closed: Path) -> None:
    embedded = EmbeddedPostgres(closed / "postgres")
    server = embedded.start()
    try:
        assert psutil.Process(server.child.pid).username() == postgres_home.SYSTEM_USER
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert server.data_directory == closed / "postgres" / "data"
        rows(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 9) AS n")
    finally:
        server.stop()

    # A copy of the whole folder has its data, and so has one that was moved.
    shutil.copytree(closed, closed.with_name("copy"), symlinks=True)
    closed.rename(closed.with_name("moved"))
    for place in ("copy", "moved"):
        there = EmbeddedPostgres(closed.with_name(place) / "postgres").start()
        try:
            assert rows(there.url, "SELECT count(*) FROM kept") == [(9,)]
        finally:
            there.stop()


def installed() -> Path:
    """The folder of the wheel's programs."""
    utils = postgres_programs.import_wheel()
    return utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION].parent


@needs_root
def test_as_root_programs_in_a_closed_folder_run_with_their_libraries(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    # What pytest makes is closed to others.
    monkeypatch.setattr(postgres_programs, "_ROOTS", (str(shared),))
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    package = installed().parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / "site-packages" / folder.name, symlinks=True)
    monkeypatch.setattr(
        postgres, "_install", lambda: closed / "site-packages" / package.name / installed().name
    )

    for _ in range(2):
        server = EmbeddedPostgres(closed / "postgres").start()
        try:
            assert Path(psutil.Process(server.child.pid).exe()).is_relative_to(shared)
            assert rows(server.url, "SELECT 1") == [(1,)]
        finally:
            server.stop()
    # The second start used the first one's copy.
    assert len(list(shared.iterdir())) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
def test_as_root_programs_that_run_nowhere_are_said_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("postgres", "initdb"):
        program = tmp_path / "package" / "install" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 127\n")
        program.chmod(0o755)
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(postgres_programs, "_ROOTS", (str(tmp_path / "shared"),))
    monkeypatch.setattr(postgres, "_install", lambda: tmp_path / "package" / "install")

    with pytest.raises(StackError, match="can't be run by the user") as refused:
        EmbeddedPostgres(tmp_path / "state").start()

    assert refused.value.hint
    assert str(tmp_path / "shared") in refused.value.log


@pytest.fixture
def kept_outside(embedded: EmbeddedPostgres, tmp_path: Path) -> Path:
    """Data as an earlier version kept them: elsewhere, with a file that says where."""
    server = embedded.start()
    rows(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 9) AS n")
    server.stop()
    outside = tmp_path / "outside"
    outside.mkdir()
    server.data_directory.rename(outside / "data")
    (outside / "origin").write_text(str(embedded.directory.resolve()))
    (embedded.directory / "data-location").write_text(f"{outside}\n")
    return outside


def count_kept(embedded: EmbeddedPostgres) -> object:
    server = embedded.start()
    try:
        return rows(server.url, "SELECT count(*) FROM kept")[0][0]
    finally:
        server.stop()


def test_data_that_an_earlier_version_kept_elsewhere_come_back(
    embedded: EmbeddedPostgres, kept_outside: Path
) -> None:
    assert count_kept(embedded) == 9
    assert not kept_outside.exists()
    assert not (embedded.directory / "data-location").exists()
    assert count_kept(embedded) == 9


@pytest.mark.usefixtures("kept_outside")
def test_a_copy_takes_a_copy_of_data_kept_elsewhere(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(embedded.directory, copy)
    assert count_kept(EmbeddedPostgres(copy)) == 9
    assert count_kept(embedded) == 9


def test_data_that_are_gone_are_not_replaced_by_an_empty_database(
    embedded: EmbeddedPostgres, kept_outside: Path
) -> None:
    shutil.rmtree(kept_outside)
    with pytest.raises(StackError, match="are not there any more") as refused:
        embedded.start()
    assert "data-location" in (refused.value.hint or "")
