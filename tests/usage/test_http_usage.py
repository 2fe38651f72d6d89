"""Limits of tokens over HTTP: windows, queries at once, budgets of a day, and what is left."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import ADMIN, QUERY, ScriptedEngine
from tests.usage.asking import OUTSIDE, USAGE, Asker, bearer


@pytest.mark.parametrize("unit", ["second", "minute", "hour"])
def test_requests_of_a_token_in_a_window(asker: Asker, problem: Any, unit: str) -> None:
    token = asker.make(limits={f"requests_per_{unit}": 2})["token"]
    assert [asker.query(token).status_code for _ in range(2)] == [200, 200]
    refused = asker.query(token)
    body = problem(refused, 429, "rate_limited")
    assert unit in body["detail"]
    longest = {"second": 1, "minute": 60, "hour": 3600}[unit]
    assert 1 <= int(refused.headers["Retry-After"]) <= longest
    assert refused.headers["X-RateLimit-Limit"] == "2"
    assert refused.headers["X-RateLimit-Remaining"] == "0"


def test_the_headers_tell_of_the_limit_that_is_nearest(asker: Asker) -> None:
    token = asker.make(limits={"requests_per_minute": 50, "requests_per_hour": 20})["token"]
    answer = asker.query(token)
    assert answer.headers["X-RateLimit-Limit"] == "20"
    assert answer.headers["X-RateLimit-Remaining"] == "19"


def test_a_swarms_limit_binds_the_sum_of_its_agents(asker: Asker, problem: Any) -> None:
    swarm = asker.make(kind="swarm", name="org", limits={"requests_per_minute": 5})["token"]
    # Two of the swarm's five go into making these.
    one, two = (asker.make(by=swarm, name=name)["token"] for name in ("one", "two"))
    assert [asker.query(token).status_code for token in (one, two, one)] == [200] * 3
    body = problem(asker.query(two), 429, "rate_limited")
    assert "swarm" in body["detail"]
    problem(asker.query(swarm), 429, "rate_limited")


def test_an_agent_is_bound_by_its_own_limit_inside_its_swarms(asker: Asker, problem: Any) -> None:
    swarm = asker.make(kind="swarm", name="org", limits={"requests_per_minute": 9})["token"]
    small = asker.make(by=swarm, name="small", limits={"requests_per_minute": 1})["token"]
    other = asker.make(by=swarm, name="other")["token"]
    assert asker.query(small).status_code == 200
    problem(asker.query(small), 429, "rate_limited")
    assert asker.query(other).status_code == 200
    # Two tokens made, two queries let in.
    assert asker.limits(other)["requests_per_minute", "swarm"]["used"] == 4


def test_a_minute_of_a_tokens_own_stands_in_place_of_the_services(open_service: Any) -> None:
    with open_service(LAKE_CALLS_PER_MINUTE="2") as service:
        asker = Asker(service.client)
        generous = asker.make(limits={"requests_per_minute": 4})["token"]
        plain = asker.make()["token"]
        swarm = asker.make(kind="swarm", name="org")["token"]
        inner = asker.make(by=swarm, limits={"requests_per_minute": 4})["token"]
        asked = {
            name: [asker.query(token).status_code for _ in range(5)]
            for name, token in (("generous", generous), ("plain", plain), ("inner", inner))
        }
    assert asked["generous"] == [200] * 4 + [429]
    # A swarm can't give its agents more than the service gives itself.
    assert asked["plain"] == asked["inner"] == [200] * 2 + [429] * 3


def test_a_cron_run_is_a_budget_for_holders_of_tokens_too(asker: Asker) -> None:
    token = asker.make(limits={"requests_per_minute": 100})["token"]
    run = {"X-Cron-Run-ID": "run-1"}
    assert [asker.query(token, **run).status_code for _ in range(11)] == [200] * 10 + [429]


@pytest.mark.parametrize(
    ("limits", "what"),
    [({"rows_per_day": 7}, "rows"), ({"bytes_per_day": 700}, "bytes")],
)
def test_what_a_day_has_is_used_up(
    asker: Asker, problem: Any, limits: dict[str, int], what: str
) -> None:
    token = asker.make(limits=limits)["token"]
    [allowed] = limits.values()
    answers = [asker.query(token)]
    used = lambda: asker.usage(token).json()["today"][what]  # noqa: E731 - asked again each time
    while used() < allowed:
        answers.append(asker.query(token))
        assert len(answers) < 10
    assert {one.status_code for one in answers} == {200}
    refused = asker.query(token)
    body = problem(refused, 429, "quota_exceeded")
    assert body["field"] == f"{what}_per_day"
    assert "2026-11-23T00:00:00Z" in body["hint"]
    # The service's clock stands at half past ten.
    assert int(refused.headers["Retry-After"]) == 13.5 * 3600
    standing = asker.limits(token)[f"{what}_per_day", "token"]
    assert (standing["left"], standing["resets_at"]) == (0, "2026-11-23T00:00:00Z")


def test_a_budget_of_nothing_lets_nothing_in(asker: Asker, problem: Any) -> None:
    for limits in ({"rows_per_day": 0}, {"seconds_per_day": 0}):
        problem(asker.query(asker.make(limits=limits)["token"]), 429, "quota_exceeded")
    problem(asker.query(asker.make(limits={"requests_per_hour": 0})["token"]), 429, "rate_limited")
    token = asker.make(limits={"concurrent_queries": 0})["token"]
    problem(asker.query(token), 429, "too_many_queries")


def test_a_swarms_day_is_the_sum_of_its_agents(asker: Asker, problem: Any) -> None:
    swarm = asker.make(kind="swarm", name="org", limits={"rows_per_day": 10})
    one, two = (asker.make(by=swarm["token"], name=name) for name in ("one", "two"))
    assert asker.query(one["token"]).status_code == 200
    assert asker.query(two["token"]).status_code == 200
    body = problem(asker.query(one["token"]), 429, "quota_exceeded")
    assert "swarm" in body["detail"]
    assert asker.usage(one["token"]).json()["today"]["rows"] == 5
    assert asker.usage(swarm["token"]).json()["today"]["rows"] == 10


def test_a_query_that_is_refused_uses_no_rows_or_bytes(asker: Asker) -> None:
    token = asker.make()["token"]
    bad = {"sql": "SELECT * FROM no_such_table"}
    assert asker.client.post(QUERY, json=bad, headers=bearer(token)).status_code == 400
    today = asker.usage(token).json()["today"]
    assert (today["rows"], today["bytes"]) == (0, 0)


class SlowEngine(ScriptedEngine):
    """Holds every query until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.running = threading.Semaphore(0)
        self.go = threading.Event()

    async def run(self, *args: Any, **options: Any) -> Any:
        self.running.release()
        await asyncio.to_thread(self.go.wait, 20)
        return await super().run(*args, **options)


def now() -> datetime:
    return datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


def test_queries_at_once(own_service: Any, problem: Any) -> None:
    engine = SlowEngine()
    with own_service(engine=engine, clock=now) as url, httpx.Client(base_url=url) as client:
        asker = Asker(client)
        token = asker.make(limits={"concurrent_queries": 1})["token"]
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(asker.query(token)))
        first.start()
        assert engine.running.acquire(timeout=10)
        refused = asker.query(token)
        body = problem(refused, 429, "too_many_queries")
        assert body["field"] == "concurrent_queries"
        assert refused.headers["Retry-After"] == "1"
        standing = asker.limits(token)["concurrent_queries", "token"]
        assert (standing["used"], standing["left"]) == (1, 0)
        engine.go.set()
        first.join(timeout=10)
        assert [one.status_code for one in answers] == [200]
        assert asker.query(token).status_code == 200
        assert asker.limits(token)["concurrent_queries", "token"]["used"] == 0


def test_a_day_ends_and_a_restart_gives_nothing_back(own_service: Any, problem: Any) -> None:
    moment = [now()]
    clock = lambda: moment[0]  # noqa: E731 - a clock that the test moves
    with own_service(clock=clock) as url, httpx.Client(base_url=url) as client:
        token = Asker(client).make(limits={"rows_per_day": 5})["token"]
        assert Asker(client).query(token).status_code == 200
        problem(Asker(client).query(token), 429, "quota_exceeded")
    with own_service(clock=clock) as url, httpx.Client(base_url=url) as client:
        refused = Asker(client).query(token)
        problem(refused, 429, "quota_exceeded")
        assert refused.headers["Retry-After"] == "60"
        moment[0] += timedelta(seconds=60)
        assert Asker(client).query(token).status_code == 200
        assert Asker(client).usage(token).json()["day"] == "2026-11-23"


def test_usage_of_others(asker: Asker, problem: Any) -> None:
    swarm = asker.make(kind="swarm", name="org")
    inner = asker.make(by=swarm["token"], name="inner", limits={"rows_per_day": 50})
    other = asker.make(name="other")
    assert asker.query(inner["token"]).status_code == 200
    seen = asker.usage(swarm["token"], token_id=inner["id"]).json()
    assert (seen["caller"], seen["today"]["rows"]) == ("inner", 5)
    assert seen == asker.usage(inner["token"]).json()
    as_admin = asker.client.get(USAGE, params={"token_id": inner["id"]}, headers=ADMIN)
    assert as_admin.json() == seen
    assert asker.usage(inner["token"], token_id=inner["id"]).json() == seen
    for token, wanted in (
        (swarm["token"], other["id"]),
        (inner["token"], other["id"]),
        (inner["token"], swarm["id"]),
        (other["token"], inner["id"]),
        (swarm["token"], "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"),
    ):
        problem(asker.usage(token, token_id=wanted), 404, "unknown_token")
    by_network = asker.client.get(USAGE, params={"token_id": inner["id"]})
    problem(by_network, 404, "unknown_token")
    nowhere = {"token_id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"}
    problem(asker.client.get(USAGE, params=nowhere, headers=ADMIN), 404, "unknown_token")
    problem(asker.client.get(USAGE, headers=OUTSIDE), 401, "not_authenticated")


def test_usage_without_a_token_tells_the_services_own_limits(service: Any) -> None:
    who = {"X-Agent-ID": "plain", "X-Cron-Run-ID": "run-9"}
    service.query(headers=who)
    body = service.client.get(USAGE, headers=who).json()
    assert (body["caller"], body["today"]) == ("plain", None)
    standing = {one["limit"]: one for one in body["limits"]}
    assert set(standing) == {"calls_per_cron_run", "calls_per_minute_of_runs"}
    assert (standing["calls_per_cron_run"]["used"], standing["calls_per_cron_run"]["left"]) == (
        1,
        9,
    )
    alone = service.client.get(USAGE, headers={"X-Agent-ID": "plain"}).json()
    [minute] = alone["limits"]
    assert (minute["limit"], minute["of"], minute["used"]) == ("calls_per_minute", "service", 0)
    assert minute["resets_at"] is None
