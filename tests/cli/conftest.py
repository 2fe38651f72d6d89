"""A service that answers what a test tells it, and a running stack that is only written down."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lake_api.cli.commands import main
from lake_api.stack.state import PartState, StackState, lock, write_state

KEY = "key-of-the-admin"


@dataclass
class Service:
    """Answers in order, the last one again and again; keeps what it was asked."""

    url: str
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def say(self, body: Any, *, status: int = 200) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, content))

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        self.requests.append((method, path, headers, json.loads(body) if body else None))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = told.take(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that the base class looks for

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Service(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state directory."""
    path = tmp_path / "home"
    monkeypatch.setenv("LAKE_STATE_DIR", str(path))
    monkeypatch.delenv("LAKE_API_URL", raising=False)
    monkeypatch.delenv("AINATIVE_INTERNAL_API_KEY", raising=False)
    return path


@pytest.fixture
def running(home: Path, service: Service) -> Iterator[StackState]:
    """A stack that is written down as running, with its service."""
    with lock(home):
        key_file = home / "key"
        key_file.write_text(f"{KEY}\n")
        log = home / "api.log"
        log.write_text("one\ntwo\nthree\n")
        state = StackState(
            pid=4711,
            started_at="2026-11-22T10:00:00+00:00",
            api_url=service.url,
            dagster_url="http://127.0.0.1:3000",
            s3_endpoint="http://127.0.0.1:8333",
            internal_api_key_file=str(key_file),
            owner_database_url=None,
            schedules=True,
            parts=(
                PartState(name="api", state="running", pid=4712, log=str(log)),
                PartState(name="postgres", state="external", pid=None, log=None),
            ),
            settings={"MINIO_SECRET_KEY": "it's secret", "MINIO_URL": "http://127.0.0.1:8333"},
        )
        write_state(home, state)
        yield state


def lake(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)
