"""What every fake upstream shares: a loopback server, and faults that a test plans.

Belongs here: serving, counting, breaking things on purpose.
Does not belong here: what any upstream answers (one module each).
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

TODAY = date(2026, 11, 23)
"""The day on which a fake lives, unless told otherwise."""

HTML_PAGE = b"<!DOCTYPE html><html><body><h1>We'll be back soon</h1></body></html>"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked. Header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered. `cut_at` ends the connection after so many bytes; `delay_s` comes first."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None
    delay_s: float = 0


def as_json(content: object, *, status: int = 200, **headers: str) -> Reply:
    return Reply(
        status=status,
        headers={"content-type": "application/json; charset=utf-8"} | headers,
        body=json.dumps(content).encode(),
    )


@dataclass(kw_only=True)
class Fault:
    """Changes the next `times` answers whose path and query contain `where`, after `skip` of them.

    `spoil` gets the true reply and gives the one that is sent.
    """

    spoil: Callable[[Reply], Reply]
    where: str = ""
    times: int = 1
    skip: int = 0


def status(
    code: int, *, retry_after: str | None = None, text: str = "busy"
) -> Callable[[Reply], Reply]:
    """An error instead of the answer."""
    headers = {"content-type": "text/plain"} | ({"retry-after": retry_after} if retry_after else {})
    return lambda _reply: Reply(status=code, headers=headers, body=text.encode())


def html(_reply: Reply) -> Reply:
    """A page for people, with status 200."""
    return Reply(headers={"content-type": "text/html"}, body=HTML_PAGE)


def redirect(_reply: Reply) -> Reply:
    """Off to a page for people."""
    return Reply(status=302, headers={"location": "/maintenance.html?key=secret"})


def truncated(reply: Reply) -> Reply:
    """Half of the body, then the connection ends."""
    return replace(reply, cut_at=len(reply.body) // 2)


def cut_short(reply: Reply) -> Reply:
    """Half of the body, and a length that claims it was all."""
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def slow(seconds: float) -> Callable[[Reply], Reply]:
    """The answer, late."""
    return lambda reply: replace(reply, delay_s=seconds)


def rewritten(change: Callable[[Any], object]) -> Callable[[Reply], Reply]:
    """The JSON answer after `change` worked on it in place."""

    def spoil(reply: Reply) -> Reply:
        content = json.loads(reply.body)
        change(content)
        return replace(reply, body=json.dumps(content).encode())

    return spoil


class Fake:
    """A server on loopback that lives on `today`.

    Subclasses answer requests and say which settings lead to them.
    """

    name = ""

    def __init__(self, today: date = TODAY) -> None:
        self.today = today
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def answer(self, request: Request) -> Reply:
        """The true answer."""
        raise NotImplementedError

    @property
    def env(self) -> Mapping[str, str]:
        """The settings that point the collector here."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, port: int = 0) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake._serve(self)

            def do_POST(self) -> None:
                fake._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Tests read `requests`, not lines."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name=self.name, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def break_with(self, spoil: Callable[[Reply], Reply], **plan: Any) -> Fault:
        """Plan a fault; see `Fault` for `where`, `times` and `skip`."""
        fault = Fault(spoil=spoil, **plan)
        self.faults.append(fault)
        return fault

    def asked(self, where: str = "") -> list[Request]:
        """The requests so far whose path contains `where`."""
        return [request for request in self.requests if where in request.path]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            method=handler.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in handler.headers.items()},
            body=handler.rfile.read(int(handler.headers.get("content-length", 0))),
            at=time.monotonic(),
        )
        with self._lock:
            self.requests.append(request)
            reply = self._spoiled(unquote(handler.path), self.answer(request))
        if reply.delay_s:
            time.sleep(reply.delay_s)  # the slowness that is being tested
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body[: reply.cut_at])
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True  # the client had enough of waiting
        if reply.cut_at is not None:
            handler.close_connection = True

    def _spoiled(self, path: str, reply: Reply) -> Reply:
        for fault in self.faults:
            if fault.where not in path or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault.spoil(reply)
        return reply


@contextmanager
def running(fake: Fake) -> Iterator[Fake]:
    """The fake, started, and stopped at the end."""
    fake.start()
    try:
        yield fake
    finally:
        fake.stop()
