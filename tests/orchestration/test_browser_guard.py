"""The checks before Dagster's webserver, request by request."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from lake_assets.orchestration.browser_guard import BrowserGuard

JSON = ("content-type", "application/json")
HERE = ("host", "localhost:3000")
OWN = ("origin", "http://localhost:3000")
Header = tuple[str, str]


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"passed"})


def sent(
    *headers: Header,
    method: str = "POST",
    path: str = "/graphql",
    kind: str = "http",
    allowed_hosts: tuple[str, ...] = (),
) -> list[MutableMapping[str, Any]]:
    """What the guard sends for a request."""
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": kind,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    if kind == "http":
        scope["method"] = method
    asyncio.run(BrowserGuard(app, allowed_hosts=allowed_hosts)(scope, receive, send))
    return messages


def status(*headers: Header, **request: Any) -> int:
    return sent(*headers, **request)[0]["status"]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:3000", "127.0.0.1:3000", "127.9.9.9", "[::1]:3000", "::1"),
        *("LOCALHOST:3000", "localhost.:3000", "dagster.localhost"),
    ],
)
def test_loopback_has_many_names(host: str) -> None:
    expected = 421 if host == "::1" else 200  # without brackets it is no host
    assert status(("host", host), JSON) == expected
    assert status(("host", host), method="GET", path="/") == expected


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:3000", "10.0.0.5:3000", "192.168.1.1", "0.0.0.0", ""),
        *("localhost.evil.example", "127.0.0.1.nip.io", "evil.example@localhost", "localhost/x"),
        *("127.0.0.1:3000:3000", "localhost:x", "2130706433", "localhost evil.example", "[::1"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_host_is_refused_whatever_it_asks(host: str, method: str) -> None:
    for path in ("/", "/graphql", "/runs", "/logs/a.err"):
        assert status(("host", host), JSON, method=method, path=path) == 421
    assert sent(("host", host), kind="websocket") == [{"type": "websocket.close", "code": 1008}]


def test_no_host_and_two_hosts_are_refused() -> None:
    assert status(JSON) == 421
    assert status(HERE, ("host", "evil.example"), JSON) == 400
    assert status(HERE, JSON, ("content-type", "text/plain")) == 400
    assert status(HERE, JSON, OWN, ("origin", "http://evil.example")) == 400


def test_names_that_are_allowed_pass() -> None:
    allowed = ("dagster.example.com", "*.lake.example")
    for host in ("dagster.example.com", "a.lake.example:443"):
        assert status(("host", host), JSON, allowed_hosts=allowed) == 200
    for host in ("example.com", "lake.example", "xdagster.example.com", "evillake.example"):
        assert status(("host", host), JSON, allowed_hosts=allowed) == 421
    behind_tls = (("host", "dagster.example.com"), ("origin", "https://dagster.example.com"))
    assert status(*behind_tls, JSON, allowed_hosts=allowed) == 200
    assert status(("host", "10.0.0.5"), JSON, allowed_hosts=("*",)) == 200


@pytest.mark.parametrize(
    "browser",
    [
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("origin", "")],
        [("origin", "http://localhost:8000")],
        [("origin", "http://127.0.0.1:3000")],
        [("origin", "http://localhost:3000.evil.example")],
        [("origin", "http://evil.example/http://localhost:3000")],
        [("origin", "http://[")],
        [("referer", "http://evil.example/page")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site"), OWN],
        [("sec-fetch-site", "Cross-Site"), OWN],
        [("origin", "http://evil.example"), ("referer", "http://localhost:3000/runs")],
    ],
)
def test_pages_of_other_origins_change_nothing(browser: list[Header]) -> None:
    for path in ("/graphql", "/report_asset_materialization/raw/a", "/report_asset_check/a"):
        assert status(HERE, *browser, JSON, path=path) == 403
    assert sent(HERE, *browser, kind="websocket") == [{"type": "websocket.close", "code": 1008}]
    # A link to the UI is none of their harm.
    assert status(HERE, *browser, method="GET", path="/runs") == 200


@pytest.mark.parametrize(
    "browser",
    [
        [],
        [OWN, ("sec-fetch-site", "same-origin"), ("referer", "http://localhost:3000/runs")],
        [("referer", "http://localhost:3000/runs")],
        [("origin", "HTTP://LOCALHOST:3000")],
    ],
)
def test_the_ui_and_programs_pass(browser: list[Header]) -> None:
    assert status(HERE, *browser, JSON) == 200
    assert status(HERE, *browser, ("content-type", "application/json; charset=utf-8")) == 200
    messages = sent(HERE, *browser, kind="websocket")
    assert messages[0]["type"] == "http.response.start"  # what this app sends to everybody


@pytest.mark.parametrize(
    "content_type",
    [
        *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"),
        *("text/plain; application/json", "application/graphql", "application/jsonx", ""),
        *("text/plain;x=application/json", "application/json,text/plain"),
    ],
)
def test_what_a_form_can_send_is_refused(content_type: str) -> None:
    assert status(HERE, ("content-type", content_type)) == 415
    assert status(HERE) == 415


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "//graphql", "/GraphQL", "/x/graphql"])
def test_graphql_is_not_answered_by_get(path: str) -> None:
    for method in ("GET", "HEAD"):
        assert status(HERE, method=method, path=path) == 405
        assert status(HERE, ("accept", "application/json"), method=method, path=path) == 405
    # The playground, which only reads the path.
    assert status(HERE, ("accept", "text/html,*/*"), method="GET", path=path) == 200
    # The app behind looks at the first of two.
    two = (("accept", "application/json"), ("accept", "text/html"))
    assert status(HERE, *two, method="GET", path=path) == 405


def test_paths_and_methods_that_no_browser_of_ours_sends_are_refused() -> None:
    for path in ("/graphql\n", "/graphql\r\n", "/gra\x00phql"):
        assert status(HERE, method="GET", path=path) == 400
        assert status(HERE, JSON, path=path) == 400
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"):
        assert status(HERE, JSON, method=method) == 405


def test_nobody_may_frame_the_ui() -> None:
    headers = dict(sent(HERE, method="GET", path="/runs")[0]["headers"])
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"
