"""All parts together: started in order, watched, started again, stopped in reverse order.

Belongs here: which parts a stack has, the settings that they share, and their life.
Does not belong here: how one part is started (`s3`, `postgres`, `dagster`), the command line.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx

from lake_api.stack import dagster
from lake_api.stack.environment import PROXY_NAMES, without_foreign
from lake_api.stack.errors import StackError
from lake_api.stack.fakes import start_fakes
from lake_api.stack.parts import Part, Watch
from lake_api.stack.port_memory import PortMemory
from lake_api.stack.ports import LOOPBACK, choose_port, is_free, listens
from lake_api.stack.postgres import EmbeddedPostgres
from lake_api.stack.process import READY_S, STOP_GRACE_S, Child, Launch, child_environment, log_tail
from lake_api.stack.s3 import EmbeddedS3
from lake_api.stack.scratch import Scratch, short_scratch
from lake_api.stack.secret_files import secret, write_private
from lake_api.stack.state import (
    PartState,
    StackState,
    clear_state,
    lock,
    require_plain_path,
    take_wish,
    write_state,
)

_PROBE_S = 10.0
_SLOW_S = 20.0
_BUCKET_S = 180.0
_ANSWER_S = 60.0
# A run is a process that imports all definitions before it says that it has begun.
_CODE_ANSWER_S = "300"
# The code server waits for its clients to hang up, which nobody needs; it keeps nothing.
_GRACE_S = {"dagster-code": 1.0}
_API_SETTINGS = ("AINATIVE_", "LAKE_", "MINIO_")
_ALERT_SETTINGS = "LAKE_ALERT_"
_API_BASICS = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *PROXY_NAMES,
)
_TRIES = 4
# What the UI and the daemon read. They load no definitions: the code server does, and starts runs.
_DAGSTER_SETTINGS = (
    *("DAGSTER_", "LAKE_DAGSTER_"),
    *("LAKE_CODE_PORT", "LAKE_SCHEDULES"),
)
# Runs write the lake; they neither call the service nor read as it does.
_NOT_FOR_RUNS = (
    "AINATIVE_INTERNAL_API_KEY",
    "LAKE_EXPORT_ACCESS_KEY",
    "LAKE_EXPORT_SECRET_KEY",
    "LAKE_READER_ACCESS_KEY",
    "LAKE_READER_SECRET_KEY",
    "LAKE_TOKEN",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports that parts take where they are free."""

    api: int = 8000
    dagster: int = 3000
    code: int = 4266
    s3: int = 8333
    postgres: int = 5432


class Supervisor:
    """A stack of parts in one state directory.

    `env` is the environment that settings come from: with `MINIO_URL` or `MINIO_ENDPOINT` set,
    that S3 is used in place of the embedded one, with `PLATFORM_DATABASE_URL` that Postgres.
    `source_settings` names the settings of outside sources, which are written down with the stack;
    `with_fakes` points all of them at stand-ins on loopback.
    """

    def __init__(
        self,
        *,
        home: Path,
        root: Path,
        env: Mapping[str, str],
        ports: Ports | None = None,
        schedules: bool = True,
        with_fakes: bool = False,
        source_settings: Collection[str] = (),
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._home = home
        self._root = root
        self._preferred = ports or Ports()
        self._ports = self._preferred
        self._schedules = schedules
        self._with_fakes = with_fakes
        self._source_settings = frozenset(source_settings)
        self._say = on_event
        self._settings = without_foreign(env)
        self._scratch: Scratch | None = None
        self._parts: list[Part] = []
        self._lock: IO[str] | None = None
        self._state: StackState | None = None
        self._noting = threading.Lock()
        self._owner_database_url: str | None = None
        self._is_new_bucket = False
        self._notes: list[str] = []

    def start(self) -> StackState:
        """Start every part; return when all are ready.

        Raises:
            AlreadyRunning: a stack runs in this state directory.
            StackError: a part did not start; what had started is stopped.
        """
        require_plain_path(self._home)
        self._lock = lock(self._home)
        try:
            self._start_parts()
        except BaseException:
            self.stop()
            raise
        self._state = self._describe()
        write_state(self._home, self._state)
        return self._state

    def _start_parts(self) -> None:
        self._memory = PortMemory(self._home)
        self._scratch = short_scratch(self._settings)
        self._settings["TMPDIR"] = str(self._scratch.path)
        basics = {name: self._settings[name] for name in _API_BASICS if name in self._settings}
        with ThreadPoolExecutor(max_workers=3) as pool:
            # The code server needs neither S3 nor Postgres until a run does.
            first = [pool.submit(self._start_s3), pool.submit(self._start_postgres)]
            if self._with_fakes:
                first.append(pool.submit(self._start_fakes, child_environment(basics)))
            for future in first:
                future.result()
        self._start_services()
        if self._is_new_bucket:
            self._ensure_bucket()

    def _start_services(self) -> None:
        """Start Dagster and the query service; again where another program took a port meanwhile.

        Each of them knows the ports of the others, so that all of them start again.
        """
        others = len(self._parts)
        lost: set[int] = set()
        for left in reversed(range(_TRIES)):
            self._choose_ports(lost)
            self._configure()
            try:
                self._start_services_once()
            except StackError:
                services = self._parts[others:]
                del self._parts[others:]
                list(_stop(services))
                taken = {port for port in self._service_ports() if not is_free(port)}
                if not taken or not left:
                    raise
                lost |= taken
                self._say(f"another program took port {min(taken)} meanwhile; trying again")
            else:
                return

    def _start_services_once(self) -> None:
        code = child_environment(code_environment(self._settings))
        env = child_environment(dagster_environment(self._settings))
        with ThreadPoolExecutor(max_workers=2) as pool:
            api = pool.submit(self._run, "api", self._api)
            self._run("dagster-code", lambda: self._code_server(code))
            web = pool.submit(self._run, "dagster-webserver", lambda: self._webserver(env))
            self._run("dagster-daemon", lambda: self._daemon(env))
            for future in (web, api):
                future.result()
        with self._said_when_slow("Dagster"):
            self._wait_for_dagster()

    def _choose_ports(self, lost: Collection[int]) -> None:
        taken = set(lost)
        chosen: dict[str, int] = {}
        for name in ("api", "dagster", "code"):
            preferred: int = getattr(self._preferred, name)
            chosen[name] = choose_port(self._memory.recall(name, preferred), taken=taken)
            taken.add(chosen[name])
            self._note_port(name, preferred, chosen[name])
        self._ports = replace(self._ports, **chosen)

    def _service_ports(self) -> tuple[int, ...]:
        return (self._ports.api, self._ports.dagster, self._ports.code)

    def _note_port(self, name: str, preferred: int, port: int) -> None:
        """Say where a part is not where one looks for it, and let it be there the next time."""
        if preferred and port != preferred:
            if self._memory.recall(name, preferred) != port:
                note = (
                    f"port {preferred} is taken: {name} uses port {port} now and at the next start"
                )
                self._notes.append(note)
                self._say(note)
            self._memory.keep(name, preferred, port)

    # ---- parts

    def _run(self, name: str, start: Callable[[], Child]) -> None:
        part = Part(name=name, start=start)
        self._parts.append(part)
        started = time.monotonic()
        with self._said_when_slow(name):
            part.child = start()
        part.state = "running"
        self._say(f"{name} is ready after {time.monotonic() - started:.1f} s")

    @contextmanager
    def _said_when_slow(self, name: str) -> Generator[None]:
        """Say that somebody still waits, for as long as they do: a busy machine is no fault."""
        done = threading.Event()

        def remind() -> None:
            waited_s = _SLOW_S
            while not done.wait(_SLOW_S):
                self._say(f"{name} is not ready after {waited_s:.0f} s; waiting")
                waited_s += _SLOW_S

        reminder = threading.Thread(target=remind, daemon=True)
        reminder.start()
        try:
            yield
        finally:
            done.set()
            reminder.join()

    def _start_s3(self) -> None:
        if self._settings.get("MINIO_URL") or self._settings.get("MINIO_ENDPOINT"):
            self._parts.append(Part(name="s3", start=_not_ours, state="external"))
            return
        directory = self._home / "s3"
        self._is_new_bucket = not directory.exists()
        preferred = self._preferred.s3
        port = self._memory.recall("s3", preferred)

        is_known = False

        def start() -> Child:
            nonlocal port, is_known
            if is_known:
                _require_free("s3", port)
            server = EmbeddedS3(directory).start(port=port)
            self._settings |= {
                "MINIO_URL": server.endpoint,
                "MINIO_ACCESS_KEY": server.writer.access_key,
                "MINIO_SECRET_KEY": server.writer.secret_key,
                "LAKE_READER_ACCESS_KEY": server.reader.access_key,
                "LAKE_READER_SECRET_KEY": server.reader.secret_key,
                "LAKE_EXPORT_ACCESS_KEY": server.exporter.access_key,
                "LAKE_EXPORT_SECRET_KEY": server.exporter.secret_key,
            }
            # Started again, it must be where the others know it.
            if is_known:
                _require_port("s3", port, server.endpoint, server.child)
            port, is_known = _port(server.endpoint), True
            self._note_port("s3", preferred, port)
            return server.child

        self._run("s3", start)

    def _start_postgres(self) -> None:
        if self._settings.get("PLATFORM_DATABASE_URL"):
            self._parts.append(Part(name="postgres", start=_not_ours, state="external"))
            return
        preferred = self._preferred.postgres
        port = self._memory.recall("postgres", preferred)
        is_known = False

        def start() -> Child:
            nonlocal port, is_known
            if is_known:
                _require_free("postgres", port)
            server = EmbeddedPostgres(self._home / "postgres").start(port=port)
            self._settings["PLATFORM_DATABASE_URL"] = server.reader_url
            self._owner_database_url = server.url
            if is_known:
                _require_port("postgres", port, server.url, server.child)
            port, is_known = _port(server.url), True
            self._note_port("postgres", preferred, port)
            return server.child

        self._run("postgres", start)

    def _start_fakes(self, env: Mapping[str, str]) -> None:
        def start() -> Child:
            child, settings = start_fakes(
                root=self._root, env=env, state=self._home / "fakes.json", log=self._log("fakes")
            )
            self._settings |= settings
            return child

        self._run("fakes", start)

    def _configure(self) -> None:
        """The settings that parts find each other by."""
        dagster_dir = self._home / "dagster"
        dagster_dir.mkdir(exist_ok=True)
        # Dagster puts folders beside its configuration: not into the checkout.
        config = dagster_dir / "dagster.yaml"
        config.unlink(missing_ok=True)
        config.symlink_to(self._root / "dagster.yaml")
        self._settings |= {
            "AINATIVE_INTERNAL_API_KEY": self._settings.get("AINATIVE_INTERNAL_API_KEY")
            or secret(self._key_file),
            "DAGSTER_HOME": str(dagster_dir),
            "LAKE_DAGSTER_DIR": str(dagster_dir),
            "LAKE_DAGSTER_URL": f"http://{LOOPBACK}:{self._ports.dagster}",
            "LAKE_CODE_PORT": str(self._ports.code),
            "LAKE_CACHE_DIR": self._settings.get("LAKE_CACHE_DIR") or str(self._home / "cache"),
            "LAKE_DATABASE_URL": self._settings.get("LAKE_DATABASE_URL")
            or f"sqlite:///{self._home}/service.db",
            "LAKE_SCHEDULES": "on" if self._schedules else "off",
            "DAGSTER_GRPC_TIMEOUT_SECONDS": self._settings.get("DAGSTER_GRPC_TIMEOUT_SECONDS")
            or _CODE_ANSWER_S,
        }

    def _code_server(self, env: Mapping[str, str]) -> Child:
        return dagster.start_code_server(
            root=self._root, env=env, port=self._ports.code, log=self._log("dagster-code")
        )

    def _webserver(self, env: Mapping[str, str]) -> Child:
        return dagster.start_webserver(
            root=self._root, env=env, port=self._ports.dagster, log=self._log("dagster-webserver")
        )

    def _daemon(self, env: Mapping[str, str]) -> Child:
        return dagster.start_daemon(root=self._root, env=env, log=self._log("dagster-daemon"))

    def _api(self) -> Child:
        child = Child(
            Launch(
                name="api",
                argv=[sys.executable, "-m", "lake_api.serve", f"--port={self._ports.api}"],
                env=child_environment(api_environment(self._settings)),
                cwd=self._root,
                log=self._log("api"),
            )
        )
        child.wait_until(lambda: listens(child.pid, self._ports.api) and _is_healthy(self.api_url))
        return child

    @property
    def api_url(self) -> str:
        """Where the query service listens."""
        return f"http://{LOOPBACK}:{self._ports.api}"

    @property
    def _key_file(self) -> Path:
        return self._home / "internal-api-key"

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    def _wait_for_dagster(self) -> None:
        url = self._settings["LAKE_DAGSTER_URL"]
        deadline = time.monotonic() + READY_S
        while not dagster.is_ready(url):
            for part in self._parts:
                if part.child is not None and part.child.exit_code is not None:
                    raise StackError(
                        f"{part.name} ended while it started", log=part.child.log_tail()
                    )
            if time.monotonic() > deadline:
                raise StackError(
                    "Dagster did not load the definitions in time",
                    log=log_tail(self._log("dagster-code")),
                )
            time.sleep(0.1)
        self._say("Dagster has loaded the definitions and takes runs")

    def _ensure_bucket(self) -> None:
        """Give a new embedded S3 its bucket, the way that a user's own gets it: by its task."""
        deadline = time.monotonic() + _BUCKET_S
        while True:
            problem = self._trigger("lake.ensure_bucket")
            if problem is None:
                return
            # The task changes nothing that is in place, so that it may be launched again.
            if time.monotonic() > deadline:
                raise StackError("the task lake.ensure_bucket could not be started", log=problem)
            time.sleep(1.0)

    def _trigger(self, task: str) -> str | None:
        """Launch a task; what the service said where it could not, else None."""
        try:
            answer = httpx.post(
                f"{self.api_url}/api/v1/internal/tasks/trigger",
                json={"task": task},
                headers={"X-Internal-API-Key": self._settings["AINATIVE_INTERNAL_API_KEY"]},
                timeout=_ANSWER_S,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            return f"the service did not answer: {error or type(error).__name__}"
        return answer.text if answer.is_error else None

    # ---- life

    def watch(self, stopping: threading.Event) -> None:
        """Start parts again that end by themselves, until `stopping` is set."""
        Watch(
            self._parts,
            on_change=self._note,
            asked=lambda: take_wish(self._home),
            say=self._say,
        ).run(stopping)

    def _note(self) -> None:
        with self._noting:
            if self._state is not None:
                self._state = replace(self._state, parts=self._part_states())
                write_state(self._home, self._state)

    def stop(self) -> None:
        """Stop what runs, in reverse order; the data stay."""
        for part in _stop(self._parts):
            self._say(f"{part.name} is stopped")
        self._parts.clear()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None
        if self._lock is not None:
            with self._noting:
                self._state = None
            clear_state(self._home)
            self._lock.close()
            self._lock = None

    def _describe(self) -> StackState:
        return StackState(
            pid=os.getpid(),
            started_at=datetime.now(tz=UTC).isoformat(timespec="seconds"),
            api_url=self.api_url,
            dagster_url=self._settings["LAKE_DAGSTER_URL"],
            s3_endpoint=self._settings.get("MINIO_URL") or self._settings["MINIO_ENDPOINT"],
            internal_api_key_file=str(self._write_key()),
            owner_database_url=self._owner_database_url,
            schedules=self._schedules,
            parts=self._part_states(),
            notes=tuple(self._notes),
            settings={
                name: value
                for name, value in self._settings.items()
                if name.startswith((*_API_SETTINGS, "DAGSTER_", "PLATFORM_"))
                or name in self._source_settings
            },
        )

    def _write_key(self) -> Path:
        """The key file, also where the key came from the environment."""
        key = self._settings["AINATIVE_INTERNAL_API_KEY"]
        if secret(self._key_file) != key:
            write_private(self._key_file, key)
        return self._key_file

    def _part_states(self) -> tuple[PartState, ...]:
        return tuple(part.describe() for part in self._parts)


def api_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What the query service gets to know: its own settings, and S3 as the reader only."""
    env = {
        name: value
        for name, value in settings.items()
        if (name.startswith(_API_SETTINGS) and not name.startswith(_ALERT_SETTINGS))
        or name in _API_BASICS
    }
    if env.get("LAKE_READER_ACCESS_KEY"):
        env["MINIO_ACCESS_KEY"] = env["LAKE_READER_ACCESS_KEY"]
        env["MINIO_SECRET_KEY"] = env.get("LAKE_READER_SECRET_KEY", "")
    return env


def code_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What the code server and its runs get to know: all but what only others need."""
    return {name: value for name, value in settings.items() if name not in _NOT_FOR_RUNS}


def dagster_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What Dagster's webserver and daemon get to know: no key of S3, a database or a source."""
    return {
        name: value
        for name, value in settings.items()
        if name.startswith(_DAGSTER_SETTINGS) or name in _API_BASICS
    }


def _stop(parts: Sequence[Part]) -> Iterator[Part]:
    """Stop parts in reverse order; each is yielded once it has ended."""
    for part in reversed(parts):
        if part.child is not None:
            part.child.stop(grace_s=_GRACE_S.get(part.name, STOP_GRACE_S))
            yield part


def _port(url: str) -> int:
    """The port of a URL that names one."""
    return urlsplit(url).port or 0


def _require_free(name: str, port: int) -> None:
    """Refuse to start a part elsewhere than where the others look for it."""
    if not is_free(port):
        raise StackError(f"{name} can't have port {port} back: another program listens there")


def _require_port(name: str, port: int, url: str, child: Child) -> None:
    """The same for a port that was lost while the part started."""
    if _port(url) != port:
        child.stop()
        raise StackError(f"{name} lost port {port} to another program while it started")


def _not_ours() -> Child:
    raise StackError("this part is not started by the stack")


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=_PROBE_S, trust_env=False).is_success
    except httpx.HTTPError:
        return False
