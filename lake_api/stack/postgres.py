"""A Postgres server of one's own, for sample data and for Dagster's storage.

Belongs here: starting and stopping it, its roles and databases.
Does not belong here: tables and rows (`lake_assets.sample_data`); where its files may live
(`postgres_home`).

Roles: `lake_owner` owns the databases and may make more; `lake_reader` may only select, and its
sessions are read-only from the start. Passwords are random and kept with mode 0600.
"""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from lake_api.stack.errors import StackError
from lake_api.stack.named_user import command_with_name
from lake_api.stack.ports import LOOPBACK, with_port
from lake_api.stack.postgres_home import PostgresHome, discard_outside, open_home
from lake_api.stack.postgres_programs import import_wheel
from lake_api.stack.process import Child, Launch, child_environment
from lake_api.stack.secret_files import private_directory, secret, write_private

DEFAULT_PORT = 5432
PLATFORM_DATABASE = "platform"
DAGSTER_DATABASE = "dagster"
OWNER = "lake_owner"
READER = "lake_reader"
_SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%t [%p] ",
    # Three idle processes would be kept for reading ahead; this server has small work.
    "io_method": "sync",
    "jit": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server. `url` is the owner's, of the platform database."""

    child: Child
    port: int
    url: str = field(repr=False)
    reader_url: str = field(repr=False)
    dagster_url: str = field(repr=False)
    data_directory: Path

    def stop(self) -> None:
        """Stop it; what was committed stays."""
        self.child.stop()


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A server whose data, passwords and log belong to `directory`."""

    directory: Path

    def start(self, *, port: int = DEFAULT_PORT) -> PostgresServer:
        """Start it on `port`, or on another where that is taken, with its roles and databases.

        Raises:
            StackError: it can't be started, or is not ready in time.
        """
        return with_port(port, self._start)

    def discard(self) -> None:
        """Remove data that an earlier version kept outside of the directory."""
        discard_outside(self.directory.absolute())

    def _start(self, port: int) -> PostgresServer:
        directory = private_directory(self.directory.absolute())
        with open_home(directory, _install()) as home:
            return self._start_in(home, port)

    def _start_in(self, home: PostgresHome, port: int) -> PostgresServer:
        directory = home.directory
        if not (home.data / "PG_VERSION").exists():
            _initialise(home, secret(directory / f"{_SUPERUSER}.secret"))
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        program = os.fspath(home.binaries / "postgres")
        child = Child(
            Launch(
                name="postgres",
                argv=[program, f"-D{home.reached_data}", f"--port={port}", *settings],
                env=_environment(),
                cwd=Path("/"),
                log=directory / "postgres.log",
                # Ends sessions and writes a checkpoint; SIGTERM would wait for every client.
                stop_signal=signal.SIGINT,
                run_as=home.run_as,
                descriptors=home.descriptors,
            )
        )
        child.wait_until(lambda: _is_ready(home.data, child.pid))
        passwords = {
            role: secret(directory / f"{role}.secret") for role in (_SUPERUSER, OWNER, READER)
        }

        def url(role: str, database: str) -> str:
            return f"postgresql://{role}:{quote(passwords[role])}@{LOOPBACK}:{port}/{database}"

        try:
            _ensure_databases(url(_SUPERUSER, "postgres"), passwords)
        except BaseException:
            child.stop()
            raise
        return PostgresServer(
            child=child,
            port=port,
            url=url(OWNER, PLATFORM_DATABASE),
            reader_url=url(READER, PLATFORM_DATABASE),
            dagster_url=url(OWNER, DAGSTER_DATABASE),
            data_directory=home.data,
        )


def _install() -> Path:
    """The folder of the wheel that holds bin, lib and share.

    Raises:
        StackError: the wheel is not installed.
    """
    utils = import_wheel()
    return utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION].parent


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and the like of the caller mean another server.
    return child_environment({name: os.environ[name] for name in ("PATH",) if name in os.environ})


def _initialise(home: PostgresHome, password: str) -> None:
    run_as = home.run_as
    home.data.mkdir(mode=0o700, exist_ok=True)
    if run_as is not None:
        os.chown(home.data, run_as.uid, run_as.gid)
    password_file = home.directory / "initdb.secret"
    write_private(password_file, password)
    if run_as is not None:
        os.chown(password_file, run_as.uid, run_as.gid)
    command = [
        os.fspath(home.binaries / "initdb"),
        f"--pgdata={home.reached_data}",
        f"--username={_SUPERUSER}",
        "--auth=scram-sha-256",
        f"--pwfile={home.reached / password_file.name}",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-sync",
    ]
    try:
        result = subprocess.run(  # noqa: S603 - the wheel's own program
            command if run_as else command_with_name(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            cwd="/",
            check=False,
            user=run_as.uid if run_as else None,
            group=run_as.gid if run_as else None,
            extra_groups=[] if run_as else None,
            pass_fds=home.descriptors,
        )
    except OSError as error:
        raise _not_initialised(str(error)) from error
    finally:
        password_file.unlink()
    if result.returncode != 0:
        log = (result.stdout + result.stderr).decode(errors="replace")
        # What is there in part would be taken for a data directory the next time.
        shutil.rmtree(home.data, ignore_errors=True)
        raise _not_initialised("\n".join(log.splitlines()[-15:]))


def _not_initialised(log: str) -> StackError:
    return StackError(
        "the embedded Postgres server could not make its data directory",
        hint="set PLATFORM_DATABASE_URL to use a server of yours",
        log=log,
    )


def _is_ready(data: Path, pid: int) -> bool:
    """What the server itself says in postmaster.pid, unless a killed one has left that behind."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _ensure_databases(url: str, passwords: dict[str, str]) -> None:
    import psycopg  # noqa: PLC0415 - slow, and not for every command
    from psycopg import sql  # noqa: PLC0415

    with psycopg.connect(url, autocommit=True) as connection:
        roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role, may in ((OWNER, sql.SQL("CREATEDB")), (READER, sql.SQL("NOCREATEDB"))):
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(
                    sql.SQL("ALTER" if role in roles else "CREATE"),
                    sql.Identifier(role),
                    may,
                    sql.Literal(passwords[role]),
                )
            )
        names = connection.execute("SELECT datname FROM pg_database").fetchall()
        for database in {PLATFORM_DATABASE, DAGSTER_DATABASE} - {name for (name,) in names}:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(database), sql.Identifier(OWNER)
                )
            )
        reader, owned = sql.Identifier(READER), sql.Identifier(DAGSTER_DATABASE)
        connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(reader))
        connection.execute(
            sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(reader)
        )
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(owned))
