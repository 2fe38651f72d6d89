"""Artifacts over HTTP, on a real store: kept, shared, downloaded, gone."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

import httpx
import obstore
import pytest

from lake_api.query.reader_store import open_small
from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN

ARTIFACTS = "/api/v1/internal/lake/artifacts"
TOKENS = "/api/v1/internal/lake/tokens"
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}
PDF = b"%PDF-1.7\n" + b"x" * 1_000
MB = 1024 * 1024


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[Any]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_ARTIFACT_BYTES": str(20 * MB),
        "LAKE_ARTIFACT_QUOTA_BYTES": str(30 * MB),
        "LAKE_ARTIFACTS_PER_AGENT": "5",
    }
    with open_lake(**keys) as lake:
        yield lake


@pytest.fixture
def agent() -> dict[str, str]:
    """The headers of an agent by network that nobody else is."""
    return {"X-Agent-ID": f"agent-{uuid4().hex[:8]}"}


def keep(lake: Any, data: Any, headers: dict[str, str], name: str = "x.pdf", **more: Any) -> Any:
    return lake.client.post(ARTIFACTS, params={"name": name, **more}, content=data, headers=headers)


def kept(lake: Any, data: Any, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    answer = keep(lake, data, headers, **more)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{ARTIFACTS}/{answer.json()['id']}"
    return answer.json()


def listed(lake: Any, headers: dict[str, str]) -> list[str]:
    answer = lake.client.get(ARTIFACTS, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(answer.json()["artifacts"])
    return [one["id"] for one in answer.json()["artifacts"]]


def objects(lake: Any) -> list[str]:
    found = obstore.list(open_small(lake.bucket), "exports/artifacts/").collect()
    return sorted(item["path"] for item in found)


def test_a_file_comes_back_as_it_was_and_only_to_be_saved(lake: Any, agent: Any):
    made = kept(lake, PDF, agent, name="../weekly\u202e “report” ü.pdf")
    assert made["name"] == "weekly “report” ü.pdf"
    assert (made["media_type"], made["size_bytes"]) == ("application/pdf", len(PDF))
    assert made["sha256"] == hashlib.sha256(PDF).hexdigest()
    again = lake.client.get(f"{ARTIFACTS}/{made['id']}", headers=agent).json()
    for url in (made["url"], again["url"]):
        answer = httpx.get(url, trust_env=False)
        assert (answer.status_code, answer.content) == (200, PDF)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == (
            'attachment; filename="weekly _report_ _.pdf"; '
            "filename*=UTF-8''weekly%20%E2%80%9Creport%E2%80%9D%20%C3%BC.pdf"
        )
    [key] = [one for one in objects(lake) if made["id"] in one]
    assert "weekly" not in key


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "image/svg+xml"])
def test_what_would_run_in_a_browser_is_bytes(lake: Any, agent: Any, content_type: str):
    page = b"<!doctype html><script>alert(1)</script>"
    made = kept(lake, page, {**agent, "Content-Type": content_type}, name="x.html")
    assert made["media_type"] == "text/html"
    answer = httpx.get(made["url"], trust_env=False)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")


def test_a_large_file_is_streamed_in_parts(lake: Any, agent: Any):
    part = bytes(range(256)) * 4096
    digest = hashlib.sha256(part * 19).hexdigest()
    made = kept(lake, (part for _ in range(19)), agent, name="x.bin")
    assert (made["size_bytes"], made["sha256"]) == (19 * MB, digest)
    assert hashlib.sha256(httpx.get(made["url"], trust_env=False).content).hexdigest() == digest


def test_too_large_a_file_is_refused_and_leaves_nothing(lake: Any, agent: Any, problem: Any):
    before = objects(lake)
    problem(keep(lake, b"x" * (20 * MB + 1), agent), 413, "artifact_too_large")
    # Without a length said before, it is counted as it comes.
    problem(keep(lake, (b"x" * MB for _ in range(21)), agent), 413, "artifact_too_large")
    assert listed(lake, agent) == []
    assert objects(lake) == before


def test_quotas_of_an_owner(lake: Any, agent: Any, problem: Any):
    first = kept(lake, b"x" * (18 * MB), agent)
    problem(keep(lake, b"x" * (13 * MB), agent), 409, "artifact_quota")
    kept(lake, b"x" * (13 * MB), {"X-Agent-ID": "another"})
    lake.client.delete(f"{ARTIFACTS}/{first['id']}", headers=agent)
    small = [kept(lake, b"x", agent) for _ in range(5)]
    problem(keep(lake, b"x", agent), 409, "artifact_quota")
    assert listed(lake, agent) == [one["id"] for one in reversed(small)]


@pytest.mark.parametrize(
    ("data", "params", "status", "code"),
    [
        (b"", {"name": "x"}, 400, "empty_artifact"),
        (b"x", {}, 422, "invalid_request"),
        (b"x", {"name": ".."}, 422, "invalid_request"),
        (b"x", {"name": "x" * 1_001}, 422, "invalid_request"),
        (b"x", {"name": "x", "expires_in_s": 59}, 422, "invalid_request"),
        (b"x", {"name": "x", "expires_in_s": 604_801}, 422, "invalid_request"),
        (b"x", {"name": "x", "shared": "true"}, 403, "no_swarm"),
    ],
)
def test_what_makes_no_sense(
    *, lake: Any, problem: Any, data: bytes, params: Any, status: int, code: str
):
    mine = {"X-Agent-ID": "nonsense"}
    problem(lake.client.post(ARTIFACTS, params=params, content=data, headers=mine), status, code)
    assert listed(lake, mine) == []


def token(lake: Any, **body: Any) -> dict[str, str]:
    """The headers of the holder of a new token."""
    key = body.pop("by", ADMIN)
    made = lake.client.post(
        TOKENS, json={"kind": "agent", "name": "aurora", **body}, headers=key
    ).json()
    return {**OUTSIDE, "Authorization": f"Bearer {made['token']}"}


def test_who_sees_which_and_who_removes_it(lake: Any, problem: Any):
    swarm = token(lake, kind="swarm", name="org")
    one, two = token(lake, by=swarm, name="one"), token(lake, by=swarm, name="two")
    stranger = token(lake)
    private, shared = kept(lake, b"a", one), kept(lake, b"b", one, shared=True)
    of_swarm = kept(lake, b"c", swarm)

    assert listed(lake, one) == [shared["id"], private["id"]]
    assert listed(lake, two) == [shared["id"]]
    assert listed(lake, swarm) == [of_swarm["id"], shared["id"], private["id"]]
    assert listed(lake, stranger) == []
    assert {private["id"], shared["id"], of_swarm["id"]} <= set(listed(lake, ADMIN))

    missing = lake.client.get(f"{ARTIFACTS}/{uuid4()}", headers=stranger)
    told = problem(missing, 404, "unknown_artifact")
    for method in ("GET", "DELETE"):
        for headers, made in ((two, private), (stranger, shared), (one, of_swarm)):
            answer = lake.client.request(method, f"{ARTIFACTS}/{made['id']}", headers=headers)
            assert problem(answer, 404, "unknown_artifact") == told
    for headers in (two, swarm):
        answer = lake.client.delete(f"{ARTIFACTS}/{shared['id']}", headers=headers)
        problem(answer, 403, "not_the_owner")
    for headers, made in ((one, shared), (ADMIN, private), (swarm, of_swarm)):
        answer = lake.client.delete(f"{ARTIFACTS}/{made['id']}", headers=headers)
        assert answer.status_code == 200
        assert answer.json()["url"] is None
        assert httpx.get(made["url"], trust_env=False).status_code == 404
        gone = lake.client.get(f"{ARTIFACTS}/{made['id']}", headers=headers)
        problem(gone, 404, "unknown_artifact")


def test_a_token_must_allow_artifacts(lake: Any, problem: Any):
    headers = token(lake, operations=["query"])
    for method in ("GET", "POST"):
        answer = lake.client.request(method, ARTIFACTS, params={"name": "x"}, headers=headers)
        problem(answer, 403, "operation_not_allowed")
    problem(lake.client.get(ARTIFACTS, headers=OUTSIDE), 401, "not_authenticated")


def test_the_life_of_a_file_is_asked_for(lake: Any, agent: Any):
    made = kept(lake, b"x", agent, expires_in_s=60)
    life = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert life == timedelta(seconds=60)
    # A link does not outlive its file.
    assert made["url_expires_at"] <= made["expires_at"]
    assert datetime.fromisoformat(made["expires_at"]) > datetime.now(UTC)


def begun(lake: Any, agent: dict[str, str]) -> HTTPConnection:
    """A connection over which a file of two bytes is being taken, and of which none was sent."""
    address = lake.client.base_url
    connection = HTTPConnection(address.host, address.port, timeout=30)
    connection.putrequest("POST", f"{ARTIFACTS}?name=x.pdf")
    for name, value in {**agent, "Content-Length": "2", "Expect": "100-continue"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    # The server says so when it begins to read the body, and the file has its turn by then.
    assert connection.sock.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


def test_who_sends_many_at_a_time_waits(lake: Any, agent: Any, problem: Any):
    with ExitStack() as opened:
        senders = [opened.enter_context(closing(begun(lake, agent))) for _ in range(2)]
        refused = keep(lake, b"z", agent)
        problem(refused, 429, "too_many_uploads")
        assert refused.headers["retry-after"] == "1"
        for sender in senders:
            sender.send(b"xy")
            assert sender.getresponse().status == 201
    kept(lake, b"z", agent)


def test_without_an_identity_to_write_with_they_are_off(start_lake: Any, problem: Any):
    off = start_lake()
    problem(off.client.get(ARTIFACTS), 503, "artifacts_disabled")
    problem(keep(off, b"x", {}), 503, "artifacts_disabled")
