"""Connections before any request exists: heads without end, slow callers, too many of them."""

import asyncio
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from lake_api.web.front_door import DoorLimits, bounded_protocol

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
PARTS = b"y" * 2_000
PARTS_LENGTH = (b"content-length", b"2000")
LEFT: list[bool] = []
Serve = Callable[..., tuple[str, int]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, then answers with its length; `/large` answers with many bytes.

    `/parts` answers in two parts, the second one later, and `/headers` with the request's headers.
    """
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"] == "/slow":
        leaving = asyncio.create_task(receive())
        done, _ = await asyncio.wait({leaving}, timeout=5)
        LEFT.append(bool(done))
        if done:
            return
    if scope["path"] == "/soon":
        await asyncio.sleep(0.3)
    if scope["path"] == "/parts":
        start = {"type": "http.response.start", "status": 200, "headers": [PARTS_LENGTH]}
        await send(start)
        await send({"type": "http.response.body", "body": PARTS[:1_000], "more_body": True})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": PARTS[1_000:]})
        return
    if scope["path"] == "/headers":
        body = b",".join(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    body = b"x" * 50_000_000 if scope["path"] == "/large" else str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def opened(limits: DoorLimits) -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(app, http=bounded_protocol(limits), log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=20)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def door() -> Iterator[Serve]:
    with ExitStack() as stack:
        served: dict[DoorLimits, tuple[str, int]] = {}

        def serve(**limits: Any) -> tuple[str, int]:
            key = DoorLimits(**limits)
            if key not in served:
                served[key] = stack.enter_context(opened(key))
            return served[key]

        yield serve


def answer_to(address: tuple[str, int], *pieces: bytes) -> bytes:
    """All that is answered until the service closes the connection."""
    with socket.create_connection(address, timeout=30) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    found = bytearray()
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return bytes(found)


def problem_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"application/problem+json" not in head:
        raise AssertionError(answer[:300])
    return int(head.split()[1]), json.loads(body)["code"]


PIECE = b"a" * 16_384


@pytest.mark.parametrize(
    "start",
    [
        GET + b"X-Long: ",
        b"GET /?",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=",
    ],
    ids=["header", "url", "trailer", "chunk extension"],
)
def test_what_has_no_end_is_refused_at_the_bound(door: Serve, start: bytes) -> None:
    address = door()
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(start)
        sent = 0
        # Sent with pauses, so that the refusal is read and not lost to a reset.
        while sent < 60_000_000:
            try:
                connection.sendall(PIECE)
            except OSError:
                break
            sent += len(PIECE)
            if select.select([connection], [], [], 0.02)[0]:
                break
        answer = read_all(connection)
    assert sent <= 200_000
    if answer.startswith(b"HTTP/1.1 200"):
        # The body was whole already: the answer to it came first.
        assert b"x-trailer" not in answer.lower()
    else:
        assert problem_of(answer) == (431, "headers_too_large")
    assert httpx.get(f"http://127.0.0.1:{address[1]}/", trust_env=False).text == "0"


def test_many_small_headers_count_together(door: Serve) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 90) for number in range(900))
    assert problem_of(answer_to(door(), GET + lines)) == (431, "headers_too_large")


def test_a_head_at_the_bound_and_a_large_body_pass(door: Serve) -> None:
    port = door()[1]
    headers = {f"X-{number}": "v" * 1_000 for number in range(60)}
    body = b"b" * 5_000_000
    answer = httpx.post(f"http://127.0.0.1:{port}/", headers=headers, content=body, trust_env=False)
    assert answer.text == "5000000"


@pytest.mark.parametrize("path", [b"/", b"/soon"])
def test_a_caller_that_shuts_its_sending_side_down_gets_the_answer(
    door: Serve, path: bytes
) -> None:
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(
            b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
        )
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b"HTTP/1.1 200 OK" in answer
    assert b"\r\n3\r\n" in answer


def test_requests_behind_one_another_are_answered_after_the_end(door: Serve) -> None:
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(2 * (b"GET /soon HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 2


GET_PARTS = b"GET /parts HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_nothing_is_written_into_an_answer_that_is_on_its_way(door: Serve) -> None:
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(3 * GET_PARTS)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(PARTS) == 3


def test_an_answer_is_cut_and_not_mixed_with_an_error(door: Serve) -> None:
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(3 * GET_PARTS + b"GET /soon HTTP/1.1\r\nHost: loc")
        answer = b""
        # Reading goes on while the second of them is answered.
        while answer.count(b"HTTP/1.1 200 OK") < 2:
            answer += connection.recv(65_536)
        connection.sendall(b"alhost\r\nno header at all\r\n\r\n")
        answer += read_all(connection)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies[0] == PARTS
    assert all(set(body) == {ord("y")} for body in bodies)


def test_trailers_are_no_headers(door: Serve) -> None:
    head = b"POST /headers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    request = head + b"Connection: close\r\n\r\n0\r\nAuthorization: Bearer x\r\nX-T: 1\r\n\r\n"
    answer = answer_to(door(), request)
    names = b"host,transfer-encoding,connection"
    assert answer.endswith(b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(names), names)), answer


def test_a_caller_that_closes_has_left(door: Serve) -> None:
    LEFT.clear()
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.1)
    end = time.monotonic() + 3
    while not LEFT and time.monotonic() < end:
        time.sleep(0.02)
    assert LEFT == [True]


def test_a_caller_that_closes_has_left_also_behind_queued_requests(door: Serve) -> None:
    LEFT.clear()
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" + 2 * GET_PARTS)
        time.sleep(0.1)
    end = time.monotonic() + 3
    while not LEFT and time.monotonic() < end:
        time.sleep(0.02)
    assert LEFT == [True]


def test_half_a_request_that_ends_is_closed(door: Serve) -> None:
    with socket.create_connection(door(), timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65_536) == b""


def test_a_head_has_its_time(door: Serve) -> None:
    address = door(header_s=0.4)
    assert problem_of(answer_to(address, GET)) == (408, "request_timeout")
    # Nothing at all: closed without a word.
    assert answer_to(address) == b""


def test_a_body_has_its_pace(door: Serve) -> None:
    address = door(body_grace_s=0.4)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc"
    assert problem_of(answer_to(address, head)) == (408, "request_timeout")


def test_an_answer_that_nobody_reads_is_given_up(door: Serve) -> None:
    address = door(unread_s=0.4)
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(10)
        # Longer than the service waits; what its system has sent already still comes.
        time.sleep(1.0)
        assert len(read_all(connection)) < 50_000_000


def test_what_is_no_http_is_told_in_the_shape_of_all_errors(door: Serve) -> None:
    assert problem_of(answer_to(door(), b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")) == (
        400,
        "bad_http",
    )


def test_idle_connections_make_room(door: Serve) -> None:
    address = door(connections=8)
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(20)
        ]
        for connection in idle[::2]:
            try:
                connection.sendall(GET)
            except OSError:
                continue
        answer = httpx.get(f"http://127.0.0.1:{address[1]}/", trust_env=False)
        assert answer.status_code == 200


def test_a_connection_that_works_is_not_closed_for_another(door: Serve) -> None:
    address = door(connections=2)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        working = [
            stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(2)
        ]
        for connection in working:
            connection.sendall(head)
        deadline = time.monotonic() + 10
        while (answer := answer_to(address, GET + b"\r\n")) == b"" or b" 200 " in answer:
            assert time.monotonic() < deadline
        assert problem_of(answer) == (503, "too_many_connections")
        for connection in working:
            connection.sendall(b"hello")
            assert read_all(connection).startswith(b"HTTP/1.1 200")


def test_a_limit_of_open_files_is_survived(tmp_path: Any) -> None:
    """The service itself, with 1,024 files, beside more connections than that."""
    files = 1_024
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    env = {
        "PATH": os.environ["PATH"],
        "MINIO_URL": "http://127.0.0.1:9",
        "LAKE_READER_ACCESS_KEY": "a",
        "LAKE_READER_SECRET_KEY": "b",
        "LAKE_CACHE_DIR": str(tmp_path / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
    }
    limited = f"ulimit -n {files} && exec {sys.executable} -m lake_api.serve --port={port}"
    arguments = ["/bin/sh", "-c", limited]
    with subprocess.Popen(arguments, env=env, stderr=subprocess.PIPE) as process:
        try:
            url = f"http://127.0.0.1:{port}/healthz"
            deadline = time.monotonic() + 60
            while True:
                try:
                    assert httpx.get(url, trust_env=False).status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            asyncio.run(_crowd(port, 1_500))
        finally:
            process.terminate()
            _, log = process.communicate(timeout=30)
    assert b"Too many open files" not in log


async def _crowd(port: int, count: int) -> None:
    """Half-open connections, and honest requests between them."""
    url = f"http://127.0.0.1:{port}/healthz"
    writers: list[asyncio.StreamWriter] = []
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        writers.append(writer)
        if number % 500 == 499:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                assert (await client.get(url)).status_code == 200
    for writer in writers:
        writer.transport.abort()
