"""Tokens over HTTP: who makes them, what they open, and that they stop opening it."""

from typing import Any

import pytest

from tests.api.conftest import ADMIN, QUERY

TOKENS = "/api/v1/internal/lake/tokens"
SQL = {"sql": "SELECT run_id FROM agent_run_log"}
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture
def outside(service: Any) -> Any:
    """Asks as somebody behind a proxy, with a token or without."""

    def ask(method: str, path: str, token: str | None = None, **options: Any) -> Any:
        headers = {**OUTSIDE, **({"Authorization": f"Bearer {token}"} if token else {})}
        return service.client.request(method, path, headers=headers, **options)

    return ask


@pytest.fixture
def make(service: Any) -> Any:
    def made(**body: Any) -> dict[str, Any]:
        body = {"kind": "agent", "name": "aurora", **body}
        answer = service.client.post(TOKENS, json=body, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return made


def test_a_token_opens_what_it_allows_and_hides_the_rest(make: Any, outside: Any, problem: Any):
    token = make(datasets=["agent_run_log"])["token"]
    assert outside("POST", QUERY, token, json=SQL).status_code == 200
    hidden = outside("POST", QUERY, token, json={"sql": "SELECT * FROM platform_llm_token_usage"})
    unknown = outside("POST", QUERY, token, json={"sql": "SELECT * FROM platform_llm_token_usagX"})
    assert "token_usage" not in hidden.text.replace("platform_llm_token_usage", "", 1) + (
        unknown.text
    )
    same = [{**problem(one, 400, "unknown_table"), "query_id": ""} for one in (hidden, unknown)]
    assert same[0]["hint"] == same[1]["hint"]


def test_without_a_token_nobody_outside_is_let_in(outside: Any, problem: Any):
    problem(outside("POST", QUERY, json=SQL), 401, "not_authenticated")


@pytest.mark.parametrize(
    "text", ["x", "lake_agent_" + "A" * 43, "lake_agent_" + "A" * 42, "lake_swarm_" + "é" * 43]
)
def test_what_is_no_token_is_told_the_same(problem: Any, service: Any, text: str):
    headers = {**OUTSIDE, "Authorization": f"Bearer {text}".encode()}
    answer = service.client.post(QUERY, json=SQL, headers=headers)
    problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_bad_token_is_refused_inside_too(service: Any, problem: Any):
    headers = {"Authorization": "Bearer lake_agent_" + "A" * 43}
    problem(service.client.post(QUERY, json=SQL, headers=headers), 401, "invalid_token")


@pytest.mark.parametrize(
    "shown",
    [
        ("",),
        ("{}",),
        ("Basic {}",),
        ("Token {}",),
        ("Bearer\t{}",),
        ("Bearer {} {}",),
        ("Bearer {}", "Bearer {}"),
        ("Basic eDp5", "Bearer {}"),
        ("Bearer {}", "Basic eDp5"),
    ],
)
def test_a_token_that_can_not_be_read_makes_nobody_an_internal_agent(
    make: Any, service: Any, problem: Any, shown: tuple[str, ...]
):
    token = make(datasets=["agent_run_log"])["token"]
    headers = [("Authorization", one.format(token, token)) for one in shown]
    hidden = {"sql": "SELECT run_id FROM platform_llm_token_usage"}
    problem(service.client.post(QUERY, json=hidden, headers=headers), 401, "invalid_token")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_in_any_case(make: Any, service: Any, scheme: str):
    headers = {"Authorization": f"{scheme} {make()['token']}"}
    assert service.client.post(QUERY, json=SQL, headers=headers).status_code == 200


def test_revoked_and_expired_tokens_open_nothing(
    make: Any, outside: Any, service: Any, problem: Any
):
    made = make()
    assert outside("POST", QUERY, made["token"], json=SQL).status_code == 200
    revoked = service.client.delete(f"{TOKENS}/{made['id']}", headers=ADMIN)
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    problem(outside("POST", QUERY, made["token"], json=SQL), 401, "invalid_token")


def test_operations_are_what_the_token_says(make: Any, outside: Any, problem: Any):
    token = make(operations=["jobs"])["token"]
    problem(outside("POST", QUERY, token, json=SQL), 403, "operation_not_allowed")


def test_a_swarm_makes_tokens_within_its_own_and_sees_only_those(
    make: Any, outside: Any, service: Any, problem: Any
):
    swarm = make(kind="swarm", name="org", datasets=["agent_run_log"], operations=["query"])
    stranger = make(name="stranger")
    body = {"kind": "agent", "name": "inner", "datasets": ["*"], "operations": ["query"]}
    made = outside("POST", TOKENS, swarm["token"], json=body).json()
    assert made["swarm_id"] == swarm["id"]
    assert outside("POST", QUERY, made["token"], json=SQL).status_code == 200
    wider = {"sql": "SELECT * FROM external_slack"}
    problem(outside("POST", QUERY, made["token"], json=wider), 400, "unknown_table")

    listed = outside("GET", TOKENS, swarm["token"]).json()["tokens"]
    assert [one["id"] for one in listed] == [made["id"]]
    problem(outside("DELETE", f"{TOKENS}/{stranger['id']}", swarm["token"]), 404, "unknown_token")
    more = {**body, "operations": ["query", "trigger"]}
    problem(outside("POST", TOKENS, swarm["token"], json=more), 403, "operation_not_allowed")
    another = {**body, "kind": "swarm"}
    problem(outside("POST", TOKENS, swarm["token"], json=another), 403, "operation_not_allowed")

    service.client.delete(f"{TOKENS}/{swarm['id']}", headers=ADMIN)
    problem(outside("POST", QUERY, made["token"], json=SQL), 401, "invalid_token")


def test_agents_make_no_tokens_and_read_no_metrics(
    make: Any, outside: Any, service: Any, problem: Any
):
    token = make()["token"]
    problem(outside("GET", TOKENS, token), 403, "operation_not_allowed")
    problem(outside("GET", "/metrics", token), 403, "operation_not_allowed")
    problem(service.client.get(TOKENS), 403, "operation_not_allowed")
    problem(outside("GET", TOKENS), 401, "not_authenticated")


def test_no_answer_but_the_first_tells_a_tokens_text(make: Any, service: Any):
    text = make()["token"]
    assert text not in service.client.get(TOKENS, headers=ADMIN).text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"datasets": ["Platform/*"]}, "datasets"),
        ({"datasets": []}, "datasets"),
        ({"operations": ["fly"]}, "operations[0]"),
        ({"limits": {"rows_per_year": 1}}, "limits.rows_per_year"),
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"expires_in_s": 10**9}, "expires_in_s"),
        ({"expires_in_s": 10**18, "kind": "swarm"}, "expires_in_s"),
        ({"name": "a b"}, "name"),
        ({"kind": "god"}, "kind"),
    ],
)
def test_a_request_that_makes_no_sense(
    service: Any, problem: Any, body: dict[str, Any], field: str
):
    body = {"kind": "agent", "name": "aurora", **body}
    answer = problem(service.client.post(TOKENS, json=body, headers=ADMIN), 422, "invalid_request")
    assert answer["field"] == field
