"""Jobs over HTTP, on a real lake: states, pages, cancelling, repeats, and who sees which."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import pytest

from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN
from tests.api.real_lake import RealLake

JOBS = "/api/v1/internal/lake/jobs"
TOKENS = "/api/v1/internal/lake/tokens"
DAY = date(2026, 11, 20)
SQL = "SELECT run_id, agent_id, cost_usd, created_at, date FROM agent_run_log ORDER BY run_id"
MANY = "SELECT i, i % 7 AS m, 'row ' || i AS s FROM range(20000) r(i)"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b"
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def export_keys(s3: S3Server) -> dict[str, str]:
    return {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_JOB_CONCURRENCY": "2",
        "LAKE_QUERY_WORKERS": "2",
        "LAKE_HEAVY_WORKERS": "1",
        "LAKE_QUERY_THREADS": "1",
    }


@pytest.fixture(scope="module")
def lake(open_lake: Any, export_keys: dict[str, str]) -> Iterator[RealLake]:
    opened: AbstractContextManager[RealLake] = open_lake(**export_keys)
    with opened as lake:
        lake.write("agent_run_log", DAY, ["aurora", "sage", "nova"])
        lake.write("platform/llm_token_usage", DAY, ["aurora"])
        yield lake


def start(lake: RealLake, sql: str, *, headers: Any = None, **more: Any) -> dict[str, Any]:
    answer = lake.client.post(JOBS, json={"sql": sql, **more}, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{JOBS}/{answer.json()['id']}"
    return answer.json()


def finished(lake: RealLake, job: dict[str, Any], *, headers: Any = None) -> dict[str, Any]:
    end = time.monotonic() + 30
    while True:
        found = lake.client.get(f"{JOBS}/{job['id']}", headers=headers).json()
        if found["state"] not in {"queued", "running"}:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_a_job_has_the_rows_of_its_query(lake: RealLake) -> None:
    job = start(lake, SQL)
    assert job["state"] in {"queued", "running"}
    assert job["row_count"] is None
    done = finished(lake, job)
    assert (done["state"], done["row_count"], done["truncated"]) == ("succeeded", 3, False)
    assert done["datasets"] == ["agent_run_log"]
    assert done["progress"]["stage"] == "done"
    assert done["progress"]["rows"] == 3
    assert done["freshness"][0]["newest_day"] == str(DAY)
    page = lake.client.get(f"{JOBS}/{job['id']}/results").json()
    asked = lake.ask(SQL).json()
    for same in ("columns", "column_types", "rows", "row_count", "truncated"):
        assert page[same] == asked[same]


def test_pages_are_all_rows_once_and_in_order(lake: RealLake) -> None:
    job = start(lake, MANY)
    assert finished(lake, job)["row_count"] == 20_000
    url = f"{JOBS}/{job['id']}/results"
    for page in (1, 2, 41, 42, 82, 100):
        body = lake.client.get(url, params={"page": page, "page_size": 200}).json()
        first = (page - 1) * 200
        assert body["rows"] == [[i, i % 7, f"row {i}"] for i in range(first, first + 200)]
        assert (body["pages"], body["row_count"]) == (100, 20_000)
    assert lake.client.get(url, params={"page": 101, "page_size": 200}).json()["rows"] == []
    last = lake.client.get(url, params={"page": 2858, "page_size": 7}).json()
    assert [row[0] for row in last["rows"]] == [19_999]


@pytest.mark.parametrize(
    "params", [{"page": 0}, {"page_size": 10_001}, {"page_size": 0}, {"page": "x"}]
)
def test_pages_that_there_are_not(lake: RealLake, problem: Any, params: Any) -> None:
    job = start(lake, SQL)
    answer = lake.client.get(f"{JOBS}/{job['id']}/results", params=params)
    assert problem(answer, 422, "invalid_request")["field"] == next(iter(params))


def test_pages_stay_while_the_data_changes(lake: RealLake) -> None:
    job = start(lake, "SELECT agent_id FROM external_slack ORDER BY agent_id")
    assert finished(lake, job)["row_count"] == 0
    lake.write("external/slack", DAY, ["new"])
    lake.poll(lambda: lake.ask("SELECT agent_id FROM external_slack").json()["row_count"] == 1)
    assert lake.client.get(f"{JOBS}/{job['id']}/results").json()["rows"] == []


def test_rows_beyond_the_cap_are_cut_and_told(lake: RealLake) -> None:
    job = finished(lake, start(lake, MANY, max_rows=100))
    assert (job["row_count"], job["truncated"]) == (100, True)


def test_what_the_guard_refuses_is_no_job(lake: RealLake, problem: Any) -> None:
    bad = {"sql": "SELECT * FROM read_csv('/etc/passwd')"}
    assert lake.client.post(JOBS, json=bad).status_code == 400
    answer = lake.client.post(JOBS, json={"sql": "SELECT * FROM agent_runs_log"})
    problem(answer, 400, "unknown_table")
    answer = lake.client.post(JOBS, json={"sql": SQL, "max_rows": 0})
    assert problem(answer, 422, "invalid_request")["field"] == "max_rows"


def test_what_the_engine_refuses_is_a_job_that_says_so(lake: RealLake, problem: Any) -> None:
    job = finished(lake, start(lake, "SELECT agent_idd FROM agent_run_log"))
    assert job["state"] == "failed"
    assert job["error"]["code"] == "unknown_column"
    assert "agent_id" in job["error"]["hint"]
    problem(lake.client.get(f"{JOBS}/{job['id']}/results"), 409, "job_failed")


def test_cancelling_stops_the_engine(lake: RealLake, problem: Any) -> None:
    job = start(lake, ENDLESS)
    lake.poll(
        lambda: lake.client.get(f"{JOBS}/{job['id']}").json()["progress"]["stage"] == "running"
    )
    problem(lake.client.get(f"{JOBS}/{job['id']}/results"), 409, "job_not_finished")
    cancelled = lake.client.post(f"{JOBS}/{job['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    lake.poll(lambda: "lake_workers_busy 0" in metrics(lake))
    problem(lake.client.get(f"{JOBS}/{job['id']}/results"), 409, "job_cancelled")
    assert lake.client.post(f"{JOBS}/{job['id']}/cancel").json()["state"] == "cancelled"


def metrics(lake: RealLake) -> str:
    lines = lake.client.get("/metrics").text.splitlines()
    return "\n".join(line.replace("0.0", "0") for line in lines if "workers_busy" in line)


def test_cancelling_what_is_over_changes_nothing(lake: RealLake) -> None:
    job = finished(lake, start(lake, SQL))
    assert lake.client.post(f"{JOBS}/{job['id']}/cancel").json()["state"] == "succeeded"


def test_light_queries_do_not_wait_for_jobs(lake: RealLake) -> None:
    jobs = [start(lake, ENDLESS) for _ in range(3)]
    lake.poll(
        lambda: lake.client.get(f"{JOBS}/{jobs[1]['id']}").json()["progress"]["stage"] == "running"
    )
    began = time.monotonic()
    assert lake.ask("SELECT count(*) FROM agent_run_log").json()["rows"] == [[3]]
    assert time.monotonic() - began < 5
    for job in jobs:
        lake.client.delete(f"{JOBS}/{job['id']}")


def test_a_repeat_is_the_same_job(lake: RealLake, problem: Any) -> None:
    key = {"Idempotency-Key": "run-7"}
    job = start(lake, SQL, headers=key)
    assert start(lake, SQL, headers=key)["id"] == job["id"]
    assert start(lake, SQL, headers={**key, "X-Agent-ID": "other"})["id"] != job["id"]
    other = lake.client.post(JOBS, json={"sql": MANY}, headers=key)
    problem(other, 409, "idempotency_conflict")
    lake.client.delete(f"{JOBS}/{job['id']}")
    assert start(lake, SQL, headers=key)["id"] != job["id"]
    bad = lake.client.post(JOBS, json={"sql": SQL}, headers={"Idempotency-Key": "a b"})
    problem(bad, 422, "invalid_request")


def test_a_removed_job_is_gone_with_its_object(lake: RealLake, problem: Any) -> None:
    job = finished(lake, start(lake, SQL))
    assert any(job["id"] in key for key in lake.export_keys())
    assert lake.client.delete(f"{JOBS}/{job['id']}").status_code == 200
    problem(lake.client.get(f"{JOBS}/{job['id']}"), 404, "unknown_job")
    lake.poll(lambda: not any(job["id"] in key for key in lake.export_keys()))


def test_jobs_of_others_are_not_there(lake: RealLake, problem: Any) -> None:
    mine = start(lake, SQL, headers={"X-Agent-ID": "one"})
    other = {"X-Agent-ID": "two"}
    job = f"{JOBS}/{mine['id']}"
    never = f"{JOBS}/0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"
    for method, path in (
        ("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("DELETE", ""),
    ):  # fmt: skip
        answers = [
            problem(lake.client.request(method, one + path, headers=other), 404, "unknown_job")
            for one in (job, never)
        ]
        assert answers[0] == answers[1]
    exported = lake.client.post(f"{job}/exports", json={"format": "csv"}, headers=other)
    problem(exported, 404, "unknown_job")
    listed = lake.client.get(JOBS, headers=other).json()
    assert mine["id"] not in {one["id"] for one in listed["jobs"]}
    seen = lake.client.get(JOBS, headers=ADMIN, params={"page_size": 200}).json()
    assert mine["id"] in {one["id"] for one in seen["jobs"]}


@pytest.fixture
def make_token(lake: RealLake) -> Any:
    def made(maker: dict[str, str] = ADMIN, **body: Any) -> tuple[str, dict[str, str]]:
        body = {"kind": "agent", "name": "aurora", **body}
        answer = lake.client.post(TOKENS, json=body, headers=maker)
        assert answer.status_code == 201, answer.text
        token = {**OUTSIDE, "Authorization": f"Bearer {answer.json()['token']}"}
        return answer.json()["id"], token

    return made


def test_a_token_asks_within_its_grant(lake: RealLake, make_token: Any, problem: Any) -> None:
    _, token = make_token(datasets=["agent_run_log"])
    hidden = {"sql": "SELECT * FROM platform_llm_token_usage"}
    problem(lake.client.post(JOBS, json=hidden, headers=token), 400, "unknown_table")
    assert finished(lake, start(lake, SQL, headers=token), headers=token)["row_count"] == 3
    _, reader = make_token(operations=["query"])
    answer = lake.client.post(JOBS, json={"sql": SQL}, headers=reader)
    problem(answer, 403, "operation_not_allowed")


def test_a_swarm_sees_what_its_agents_run_and_does_not_own_it(
    lake: RealLake, make_token: Any, problem: Any
) -> None:
    _, swarm = make_token(kind="swarm", name="org")
    _, inner = make_token(maker=swarm)
    _, foreign = make_token()
    job = start(lake, SQL, headers=inner)
    path = f"{JOBS}/{job['id']}"
    assert lake.client.get(path, headers=swarm).status_code == 200
    problem(lake.client.get(path, headers=foreign), 404, "unknown_job")
    problem(lake.client.delete(path, headers=swarm), 403, "not_the_owner")
    listed = lake.client.get(JOBS, headers=swarm).json()
    assert [one["id"] for one in listed["jobs"]] == [job["id"]]


def test_a_job_whose_token_was_revoked_does_not_run(lake: RealLake, make_token: Any) -> None:
    block = [start(lake, ENDLESS) for _ in range(2)]
    token_id, token = make_token()
    job = start(lake, SQL, headers=token)
    assert lake.client.delete(f"{TOKENS}/{token_id}", headers=ADMIN).status_code == 200
    for one in block:
        lake.client.delete(f"{JOBS}/{one['id']}")
    found = finished(lake, job, headers=ADMIN)
    assert (found["state"], found["error"]["code"]) == ("failed", "invalid_token")


def test_no_more_than_so_many_at_a_time(open_lake: Any, export_keys: Any, problem: Any) -> None:
    with open_lake(**export_keys, LAKE_JOBS_PER_AGENT="2") as lake:
        jobs = [start(lake, ENDLESS) for _ in range(2)]
        answer = lake.client.post(JOBS, json={"sql": SQL})
        problem(answer, 429, "too_many_jobs")
        assert "retry-after" in answer.headers
        start(lake, SQL, headers={"X-Agent-ID": "other"})
        lake.client.post(f"{JOBS}/{jobs[0]['id']}/cancel")
        start(lake, SQL)


def test_a_job_that_takes_too_long_says_so(open_lake: Any, export_keys: Any) -> None:
    with open_lake(**export_keys, LAKE_JOB_TIMEOUT_S="0.5") as lake:
        job = finished(lake, start(lake, ENDLESS))
        assert (job["state"], job["error"]["code"]) == ("failed", "query_timeout")


def test_results_are_swept_when_their_time_is_over(open_lake: Any, export_keys: Any) -> None:
    with open_lake(**export_keys, LAKE_JOB_TTL_S="1") as lake:
        job = finished(lake, start(lake, "SELECT i FROM range(10) r(i)"))
        assert job["state"] == "succeeded"
        path = f"{JOBS}/{job['id']}"
        lake.poll(lambda: lake.client.get(path).status_code == 404)
        # Removing another wakes the sweeper.
        other = start(lake, "SELECT i FROM range(10) r(i)")
        lake.client.delete(f"{JOBS}/{other['id']}")
        lake.poll(lambda: not lake.export_keys())


def test_without_an_identity_to_write_with_there_are_none(service: Any, problem: Any) -> None:
    answer = service.client.post(JOBS, json={"sql": SQL})
    body = problem(answer, 503, "jobs_disabled")
    assert "LAKE_EXPORT_ACCESS_KEY" in body["hint"]


def test_pages_are_right_whatever_happens_to_the_local_copy(lake: RealLake) -> None:
    job = finished(lake, start(lake, MANY))
    pages = f"{JOBS}/{job['id']}/results"
    truth = lake.client.get(pages, params={"page_size": 50}).json()["rows"]
    assert len(truth) == 50
    for harm in (
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.unlink(),
        lambda path: path.chmod(0),
    ):
        (copy,) = (lake.cache / "slot-0" / "data" / "kept").glob(f"*{job['id']}*")
        harm(copy)
        assert lake.client.get(pages, params={"page_size": 50}).json()["rows"] == truth
