"""What holds for every route: the error shape, health, the OpenAPI document and its page."""

import inspect
import re
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

READY = {"repositoryOrError": {"__typename": "Repository"}}
OPERATIONS = {
    "query_lake": ("post", "/api/v1/internal/lake/query"),
    "get_tool_definition": ("get", "/api/v1/internal/lake/tool-definition"),
    "list_datasets": ("get", "/api/v1/internal/lake/datasets"),
    "get_dataset": ("get", "/api/v1/internal/lake/datasets/{name}"),
    "sample_dataset": ("get", "/api/v1/internal/lake/datasets/{name}/sample"),
    "profile_dataset": ("get", "/api/v1/internal/lake/datasets/{name}/profile"),
    "start_job": ("post", "/api/v1/internal/lake/jobs"),
    "list_jobs": ("get", "/api/v1/internal/lake/jobs"),
    "get_job": ("get", "/api/v1/internal/lake/jobs/{job_id}"),
    "get_job_results": ("get", "/api/v1/internal/lake/jobs/{job_id}/results"),
    "cancel_job": ("post", "/api/v1/internal/lake/jobs/{job_id}/cancel"),
    "delete_job": ("delete", "/api/v1/internal/lake/jobs/{job_id}"),
    "export_job": ("post", "/api/v1/internal/lake/jobs/{job_id}/exports"),
    "start_export": ("post", "/api/v1/internal/lake/exports"),
    "list_exports": ("get", "/api/v1/internal/lake/exports"),
    "get_export": ("get", "/api/v1/internal/lake/exports/{export_id}"),
    "delete_export": ("delete", "/api/v1/internal/lake/exports/{export_id}"),
    "keep_artifact": ("post", "/api/v1/internal/lake/artifacts"),
    "list_artifacts": ("get", "/api/v1/internal/lake/artifacts"),
    "get_artifact": ("get", "/api/v1/internal/lake/artifacts/{artifact_id}"),
    "delete_artifact": ("delete", "/api/v1/internal/lake/artifacts/{artifact_id}"),
    "download_file": ("get", "/api/v1/internal/lake/files/{link}/{name}"),
    "look_at_file": ("head", "/api/v1/internal/lake/files/{link}/{name}"),
    "get_operation": ("get", "/api/v1/internal/lake/operations/{operation_id}"),
    "list_services": ("get", "/api/v1/internal/lake/services"),
    "get_service_status": ("get", "/api/v1/internal/lake/services/{service_id}/status"),
    "run_service_command": (
        "post",
        "/api/v1/internal/lake/services/{service_id}/commands/{command_name}/run",
    ),
    "trigger_task": ("post", "/api/v1/internal/tasks/trigger"),
    "get_task": ("get", "/api/v1/internal/tasks/{task_id}"),
    "create_token": ("post", "/api/v1/internal/lake/tokens"),
    "list_tokens": ("get", "/api/v1/internal/lake/tokens"),
    "revoke_token": ("delete", "/api/v1/internal/lake/tokens/{token_id}"),
    "get_usage": ("get", "/api/v1/internal/lake/usage"),
    "get_health": ("get", "/healthz"),
    "get_readiness": ("get", "/readyz"),
    "get_metrics": ("get", "/metrics"),
}
"""Every operation of the service; a new one is added here."""

# One method each: what the service answers to the others says which.
ROUTES = {
    path: method
    for method, path in OPERATIONS.values()
    if sum(other == path for _, other in OPERATIONS.values()) == 1
}


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/v1/internal/lake", "/docs/x", "/%00"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_route(service: Any, problem: Any, path: str, method: str) -> None:
    problem(service.client.request(method, path), 404, "unknown_route")


@pytest.mark.parametrize(("path", "allowed"), sorted(ROUTES.items()))
def test_another_method_tells_the_right_one(
    service: Any, problem: Any, path: str, allowed: str
) -> None:
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {allowed.upper()}:
        answer = service.client.request(method, path.replace("{task_id}", "abc"))
        problem(answer, 405, "method_not_allowed")
        assert allowed.upper() in answer.headers["Allow"].split(", ")


def test_the_process_is_healthy(service: Any) -> None:
    answer = service.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_with_all_parts_by_name(service: Any) -> None:
    service.dagster.say("Readiness", READY)
    answer = service.client.get("/readyz")
    assert answer.status_code == 200
    good = {"ok": True, "reason": None}
    assert answer.json() == {
        "state": "ready",
        "parts": dict.fromkeys(("storage", "workers", "cache", "database", "dagster"), good),
    }


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("storage", "storage_unavailable"),
        ("workers", "workers_not_ready"),
        ("cache", "cache_full"),
    ],
)
def test_not_ready_without_what_queries_need(
    service: Any, problem: Any, part: str, reason: str
) -> None:
    service.dagster.say("Readiness", READY)
    service.engine.parts[part] = False
    body = problem(service.client.get("/readyz"), 503, "not_ready")
    assert body["state"] == "not_ready"
    assert body["parts"][part] == {"ok": False, "reason": reason}
    assert body["parts"]["dagster"] == {"ok": True, "reason": None}
    assert part in body["detail"]


def test_not_ready_without_the_database(
    start_service: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start_service()
    service.dagster.say("Readiness", READY)
    assert service.client.get("/readyz").status_code == 200
    database = service.app.state.database
    # Nobody listens there.
    away = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    monkeypatch.setattr(database, "_sessions", async_sessionmaker(away))
    body = problem(service.client.get("/readyz"), 503, "not_ready")
    assert body["parts"]["database"] == {"ok": False, "reason": "database_unavailable"}
    assert body["parts"]["workers"] == {"ok": True, "reason": None}
    assert "database" in body["detail"]
    monkeypatch.undo()
    assert service.client.get("/readyz").status_code == 200


def test_a_code_location_that_is_not_loaded_degrades(service: Any) -> None:
    missing = {"repositoryOrError": {"__typename": "RepositoryNotFoundError"}}
    service.dagster.say("Readiness", missing)
    answer = service.client.get("/readyz")
    assert (answer.status_code, answer.json()["state"]) == (200, "degraded")
    assert answer.json()["parts"]["dagster"] == {"ok": False, "reason": "code_location_not_loaded"}


def test_dagster_down_degrades(start_service: Any) -> None:
    service = start_service(dagster_url="http://127.0.0.1:9")
    answer = service.client.get("/readyz")
    assert (answer.status_code, answer.json()["state"]) == (200, "degraded")
    assert answer.json()["parts"]["dagster"] == {"ok": False, "reason": "dagster_unavailable"}


def test_the_document_has_every_route_with_examples_and_errors(service: Any) -> None:
    document = service.client.get("/schema/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["operationId"]] = (method, path)
            assert operation["summary"]
            assert operation["tags"]
            for status, answer in operation["responses"].items():
                for media_type, media in answer["content"].items():
                    if int(status) >= 400:
                        assert media_type == "application/problem+json"
                        for example in media["examples"].values():
                            assert example["value"]["status"] == int(status)
                            assert example["value"]["code"]
    assert found == OPERATIONS
    query = document["paths"]["/api/v1/internal/lake/query"]["post"]
    assert set(query["responses"]) == {
        "200", "400", "401", "403", "406", "413", "415", "421", "422", "429", "500", "503",
    }  # fmt: skip
    schemas = document["components"]["schemas"]
    sql = schemas["QueryRequest"]["properties"]["sql"]
    assert (sql["minLength"], sql["maxLength"]) == (10, 4000)
    assert schemas["QueryRequest"]["required"] == ["sql"]
    # What refuses unknown fields says so, and only that.
    closed = {name for name, one in schemas.items() if one.get("additionalProperties") is False}
    assert {"QueryRequest", "TriggerRequest", "TokenRequest", "CommandRequest"} <= closed
    assert "QueryAnswer" not in closed
    assert next(iter(query["responses"]["200"]["content"]["application/json"]["examples"]))
    security = {
        path: next(iter(document["paths"][path].values()))["security"]
        for path in ("/api/v1/internal/lake/tool-definition", "/api/v1/internal/tasks/trigger")
    }
    assert list(security.values()) == [
        [{"InternalApiKey": []}, {"BearerToken": []}],
        [{"InternalApiKey": []}],
    ]


def test_every_reference_in_the_document_resolves(service: Any) -> None:
    answer = service.client.get("/schema/openapi.json")
    known = set(answer.json()["components"]["schemas"])
    found = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert found
    assert found <= known


def test_the_page_needs_nothing_from_elsewhere(service: Any) -> None:
    page = service.client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "/docs/docs.js" in linked
    for path in linked:
        assert path.startswith("/")
        answer = service.client.get(path)
        assert answer.status_code == 200
        # Examples of links are texts; nothing fetches them.
        text = answer.text.replace("https://lake.example.com/", "")
        assert "https://" not in text.replace("https://spec.openapis.org", "")
    for path in ("/docs", "/docs/docs.js", "/docs/docs.css"):
        policy = service.client.get(path).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
    script = service.client.get("/docs/docs.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in script.text


def test_no_guard_of_a_route_needs_a_thread(service: Any) -> None:
    # A plain function is called in a thread of its own, which takes longer than any guard.
    guards = [
        guard
        for route in service.app.routes
        for handler in getattr(route, "route_handlers", ())
        for guard in handler.guards or ()
    ]
    assert len(guards) > len(OPERATIONS)
    slow = [one for one in [*guards, *service.app.guards] if not inspect.iscoroutinefunction(one)]
    assert slow == []
