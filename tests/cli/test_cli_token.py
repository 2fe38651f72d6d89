"""`lake token`: what it asks the service for, and what it shows."""

import json
from typing import Any

import pytest
from click.testing import Result

from tests.cli.conftest import KEY, Service, lake

TOKEN = "lake_agent_" + "x" * 43
INFO: dict[str, Any] = {
    "id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11",
    "kind": "agent",
    "name": "aurora",
    "swarm_id": None,
    "datasets": ["platform/*", "!platform/billing*"],
    "operations": ["jobs", "query"],
    "limits": {},
    "state": "live",
    "created_at": "2026-11-22T10:30:00Z",
    "expires_at": "2026-12-22T10:30:00Z",
    "revoked_at": None,
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AINATIVE_INTERNAL_API_KEY", KEY)


def run(service: Service, *arguments: str) -> Result:
    return lake("token", *arguments, "--api-url", service.url)


def test_a_new_tokens_text_is_alone_on_standard_output(service: Service):
    service.say({**INFO, "token": TOKEN}, status=201)
    result = run(
        service, "create", "aurora", "--datasets", "platform/*", "--datasets",
        "!platform/billing*", "--allow", "query", "--limit", "rows_per_day", "1000",
        "--expires-in-s", "60",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, f"{TOKEN}\n")
    assert "aurora" in result.stderr
    assert "2026-12-22 10:30 UTC" in result.stderr
    [(method, path, headers, body)] = service.requests
    assert (method, path) == ("POST", "/api/v1/internal/lake/tokens")
    assert headers["x-internal-api-key"] == KEY
    assert body == {
        "kind": "agent",
        "name": "aurora",
        "datasets": ["platform/*", "!platform/billing*"],
        "operations": ["query"],
        "limits": {"rows_per_day": 1000},
        "expires_in_s": 60,
    }


def test_a_swarm_is_asked_for_with_what_the_service_gives_by_default(service: Service):
    service.say({**INFO, "kind": "swarm", "token": TOKEN}, status=201)
    assert run(service, "create", "org", "--swarm").exit_code == 0
    assert service.requests[0][3] == {"kind": "swarm", "name": "org", "limits": {}}


def test_tokens_are_listed(service: Service):
    service.say({"tokens": [INFO]})
    result = run(service, "list")
    assert result.exit_code == 0
    for shown in (INFO["id"], "aurora", "platform/* !platform/billing*", "live", "2026-12-22"):
        assert shown in result.stdout
    service.answers.clear()
    service.say({"tokens": []})
    assert "lake token create" in run(service, "list").stdout
    assert json.loads(run(service, "list", "--json").stdout) == {"tokens": []}


def test_a_token_is_revoked(service: Service):
    service.say({**INFO, "state": "revoked"})
    result = run(service, "revoke", INFO["id"])
    assert (result.exit_code, "is revoked" in result.stdout) == (0, True)
    assert service.requests[0][:2] == ("DELETE", f"/api/v1/internal/lake/tokens/{INFO['id']}")


def test_a_refusal_is_told(service: Service):
    service.say(
        {"status": 404, "code": "unknown_token", "title": "Not found", "detail": "No such token."},
        status=404,
    )
    result = run(service, "revoke", INFO["id"])
    assert result.exit_code == 1
    assert "No such token." in result.stderr


def test_a_swarm_shows_its_own_token(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKE_TOKEN", TOKEN)
    service.say({"tokens": []})
    assert run(service, "list").exit_code == 0
    headers = service.requests[0][2]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert "x-internal-api-key" not in headers
