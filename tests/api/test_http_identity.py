import socket
import time
from typing import Any

import httpx
import pytest
from litestar.connection import ASGIConnection

from lake_api.peers import client_address
from lake_api.settings import Settings

QUERY = "/api/v1/internal/lake/query"
KEY = "test-key-of-the-admin"
SQL = "SELECT agent_id FROM agent_run_log"
TOOL = "/api/v1/internal/lake/tool-definition"
ADMIN_ROUTES = [
    ("GET", TOOL),
    ("POST", "/api/v1/internal/tasks/trigger"),
    ("GET", "/api/v1/internal/tasks/a1b2c3d4"),
]


def test_a_loopback_peer_is_an_internal_agent(service: Any) -> None:
    assert service.query(SQL).status_code == 200
    assert service.query(SQL, headers={"X-Agent-ID": "aurora"}).status_code == 200
    assert service.query(SQL, headers={"X-Internal-API-Key": KEY}).status_code == 200
    assert service.engine.agents == [
        "peer:127.0.0.1 agent:internal",
        "peer:127.0.0.1 agent:aurora",
        "admin:admin",
    ]


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "CF-Connecting-IP",
        "X_Forwarded_For", "X-Amzn-Trace-Id", "X-Azure-ClientIP", "X-Cloud-Trace-Context", "CF-Ray",
        "X-ProxyUser-Ip", "Tailscale-User-Login", "X-Original-URL", "X-Scheme",
        "X-Auth-Request-User",
        "X-Envoy-External-Address", "Cdn-Loop", "X-Vercel-Id", "X-Nf-Client-Connection-Ip",
        "X-Cache", "X-Varnish-Ip", "Client-Cert", "Remote-Email", "X-Railway-Edge", "Early-Data",
    ],
)  # fmt: skip
def test_one_forwarding_header_ends_that_standing(service: Any, problem: Any, header: str) -> None:
    answer = service.query(SQL, headers={header: "127.0.0.1"})
    problem(answer, 401, "not_authenticated")
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("header", ["Traceparent", "X-B3-TraceId", "B3", "X-Request-ID"])
def test_what_tracing_inside_of_an_agent_adds_is_no_sign_of_a_proxy(
    service: Any, header: str
) -> None:
    assert service.query(SQL, headers={header: "80f198ee56343ba864fe8b2a57d3eff7"}).is_success


def test_a_trusted_proxy_speaks_for_others_and_is_never_internal(
    start_service: Any, problem: Any
) -> None:
    service = start_service(LAKE_TRUSTED_PROXIES="127.0.0.0/8")
    # Not even where it leaves no sign of itself, as a proxy without configuration does.
    problem(service.query(SQL), 401, "not_authenticated")
    assert service.query(SQL, headers={"X-Internal-API-Key": KEY}).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /metrics HTTP/1.0\r\nHost: localhost",
        "GET /metrics HTTP/1.1\r\nConnection: close\r\nHost: lake.example.com",
        "GET /metrics HTTP/1.1\r\nConnection: close\r\nHost: 10.1.2.3",
    ],
    ids=["nginx's version of HTTP", "a name passed on", "an address passed on"],
)
def test_other_signs_of_a_proxy_on_this_machine_end_it_too(start_service: Any, head: str) -> None:
    service = start_service(LAKE_ALLOWED_HOSTS="lake.example.com")
    assert b'"not_authenticated"' in sent(service, f"{head}\r\n\r\n")


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("10.0.0.1", {}, "10.0.0.1"),
        ("10.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
        ("10.0.0.1", {"X-Forwarded-For": "1.1.1.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"),
        ("10.0.0.1", {"X-Forwarded-For": "203.0.113.9:4711"}, "203.0.113.9"),
        ("10.0.0.1", {"X-Forwarded-For": "unknown"}, "10.0.0.1"),
        ("10.0.0.1", {"Forwarded": 'for=1.1.1.1, for="[2001:db8::1]:80"'}, "2001:db8::1"),
        ("192.0.2.7", {"X-Forwarded-For": "203.0.113.9"}, "192.0.2.7"),
        ("::ffff:10.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
    ],
)  # fmt: skip
def test_the_client_is_whom_trusted_proxies_name(
    peer: str, headers: dict[str, str], expected: str
) -> None:
    settings = Settings.from_mapping({"LAKE_TRUSTED_PROXIES": "10.0.0.0/8"})
    raw = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
    connection: Any = ASGIConnection({"type": "http", "headers": raw, "client": (peer, 1)})  # pyright: ignore
    assert client_address(connection, settings) == expected


def test_a_peer_outside_the_internal_networks_needs_the_key(
    start_service: Any, problem: Any
) -> None:
    service = start_service(LAKE_INTERNAL_NETWORKS="10.0.0.0/8")
    problem(service.query(SQL), 401, "not_authenticated")
    answer = service.query(SQL, headers={"X-Internal-API-Key": KEY, "X-Forwarded-For": "1.2.3.4"})
    assert answer.status_code == 200


def test_nobody_is_known_by_address_where_no_network_is_internal(
    start_service: Any, problem: Any
) -> None:
    service = start_service(LAKE_INTERNAL_NETWORKS="none")
    problem(service.query(SQL, headers={"X-Agent-ID": "aurora"}), 401, "not_authenticated")
    problem(service.client.get("/metrics"), 401, "not_authenticated")
    assert service.query(SQL, headers={"X-Internal-API-Key": KEY}).status_code == 200


@pytest.mark.parametrize("key", ["wrong", "", KEY[:-1], f"{KEY} x", "ключ".encode()])
def test_a_wrong_key_is_refused_on_every_route(
    service: Any, problem: Any, key: str | bytes
) -> None:
    headers = {"X-Internal-API-Key": key}
    problem(service.query(SQL, headers=headers), 401, "invalid_api_key")
    for method, path in ADMIN_ROUTES:
        problem(service.client.request(method, path, headers=headers), 401, "invalid_api_key")


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_admin_routes_want_the_key_also_from_internal_agents(
    service: Any, problem: Any, method: str, path: str
) -> None:
    answer = service.client.request(method, path, headers={"X-Agent-ID": "aurora"})
    problem(answer, 401, "not_authenticated")


def test_without_a_key_admin_routes_are_off_and_queries_work(
    start_service: Any, problem: Any
) -> None:
    service = start_service(AINATIVE_INTERNAL_API_KEY="")
    for method, path in ADMIN_ROUTES:
        for headers in ({}, {"X-Internal-API-Key": ""}, {"X-Internal-API-Key": "any"}):
            answer = service.client.request(method, path, headers=headers)
            problem(answer, 403, "admin_disabled")
    assert service.query(SQL).status_code == 200


@pytest.mark.parametrize("header", ["X-Agent-ID", "X-Cron-Run-ID"])
@pytest.mark.parametrize("name", ["", "a b", "x" * 129, 'a"b', "a/b"])
def test_names_have_few_characters(service: Any, problem: Any, header: str, name: str) -> None:
    answer = service.query(SQL, headers={header: name})
    assert problem(answer, 422, "invalid_request")["field"] == header.lower()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_foreign_host_is_not_served(service: Any, problem: Any, host: str) -> None:
    for path in ("/healthz", "/docs", TOOL):
        problem(service.client.get(path, headers={"Host": host}), 421, "unknown_host")


@pytest.mark.parametrize("hosts", [("localhost", "evil.example"), ("evil.example", "localhost")])
def test_of_two_hosts_none_is_believed(service: Any, hosts: tuple[str, str]) -> None:
    lines = [f"Host: {host}" for host in hosts]
    answer = sent(service, "\r\n".join(("GET /healthz HTTP/1.1", *lines, "", "")))
    assert b'"unknown_host"' in answer


def test_a_caller_that_goes_away_in_the_middle_of_its_body_is_no_fault_of_ours(
    service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    head = (f"POST {QUERY} HTTP/1.1", "Host: localhost", "Content-Type: application/json",
            "Content-Length: 100", "", "{")  # fmt: skip
    sent(service, "\r\n".join(head), leave=True)

    def refused() -> str:
        return service.client.get("/metrics").text

    end = time.monotonic() + 10
    while 'code="body_incomplete"' not in refused():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert "unexpected error" not in caplog.text


def sent(service: Any, text: str, *, leave: bool = False) -> bytes:
    """What is answered to these bytes; nothing to somebody who leaves."""
    url = service.client.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(text.encode())
        return b"" if leave else connection.recv(4_096)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "10.1.2.3", "api.localhost"],
)
def test_loopback_names_and_addresses_are_served(service: Any, host: str) -> None:
    assert service.client.get("/healthz", headers={"Host": host}).status_code == 200


def test_named_hosts_are_served(start_service: Any, problem: Any) -> None:
    service = start_service(LAKE_ALLOWED_HOSTS="Lake.Example.com, *.svc.cluster.local")

    def ask(host: str) -> httpx.Response:
        return service.client.get("/healthz", headers={"Host": host})

    assert ask("lake.example.com:443").status_code == 200
    assert ask("lake-api.prod.svc.cluster.local").status_code == 200
    problem(ask("svc.cluster.local.evil"), 421, "unknown_host")
    problem(ask("example.com"), 421, "unknown_host")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_pages_of_another_origin_may_not_post(service: Any, problem: Any, origin: str) -> None:
    problem(service.query(SQL, headers={"Origin": origin}), 403, "foreign_origin")


def test_a_page_of_this_service_may_post(service: Any) -> None:
    origin = str(service.client.base_url).rstrip("/")
    assert service.query(SQL, headers={"Origin": origin}).status_code == 200
