"""Discovery over a real S3: the list, one dataset, and what a narrow token sees of them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from obstore.exceptions import GenericError

from lake_api.datasets import discovery as discovery_module
from lake_api.query import snapshot as snapshot_module
from lake_assets.catalog import version_key
from tests.api.conftest import ADMIN

DATASETS = "/api/v1/internal/lake/datasets"
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)


def days_ago(count: int) -> date:
    return TODAY - timedelta(days=count)


@pytest.fixture(scope="module")
def lake(open_lake: Any) -> Iterator[Any]:
    with open_lake() as opened:
        for age in (1, 2, 3, 6):
            opened.write("platform/llm_token_usage", days_ago(age), ["aurora", "sage"])
        opened.write("agent_run_log", YESTERDAY, ["aurora"])
        yield opened


def get(lake: Any, path: str = "", **options: Any) -> Any:
    return lake.client.get(f"{DATASETS}{path}", **options)


def one(lake: Any, name: str, **options: Any) -> dict[str, Any]:
    answer = get(lake, f"/{name}", **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_list_tells_how_new_and_large_each_is(lake: Any) -> None:
    body = get(lake).json()
    assert (body["total"], body["page"], body["page_size"]) == (5, 1, 100)
    assert [line["partition"] for line in body["datasets"]] == [
        one.partition for one in lake.catalog
    ]
    usage = next(line for line in body["datasets"] if "token" in line["partition"])
    assert usage["sql_name"] == "platform_llm_token_usage"
    assert usage["newest_day"] == YESTERDAY.isoformat()
    assert usage["days"] == 4
    assert usage["size_bytes"] == sum(lake.object_sizes("platform/llm_token_usage").values())
    assert usage["stale"] is False
    empty = next(line for line in body["datasets"] if line["partition"] == "external/slack")
    assert (empty["newest_day"], empty["days"], empty["stale"]) == (None, 0, None)


def test_a_list_in_part_says_what_is_old_and_what_is_unknown(
    start_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dataset whose storage is away does not take the list away."""
    lake = start_lake()
    for partition in ("agent_run_log", "platform/llm_token_usage"):
        lake.write(partition, YESTERDAY, ["aurora"])
    assert {line["listing"] for line in get(lake).json()["datasets"]} == {"current"}
    assert get(lake).json()["warnings"] == []
    lines = {line["sql_name"]: line for line in get(lake).json()["datasets"]}
    assert lines["agent_run_log"]["as_of"] is None
    away = {version_key(lake.catalog["agent_run_log"]), version_key(lake.catalog["external/slack"])}
    real = snapshot_module.obstore.get_async

    async def get_async(store: Any, key: str, **options: Any) -> Any:
        if key in away:
            raise GenericError("away")
        return await real(store, key, **options)

    monkeypatch.setattr(snapshot_module.obstore, "get_async", get_async)
    monkeypatch.setattr(discovery_module, "_LIST_AGE_S", 0.0)
    monkeypatch.setattr(discovery_module, "_LIST_WAIT_S", 0.0)
    body = get(lake).json()
    lines = {line["sql_name"]: line for line in body["datasets"]}
    assert lines["agent_run_log"]["listing"] == "outdated"
    assert lines["agent_run_log"]["days"] == 1
    assert lines["agent_run_log"]["as_of"] is not None
    assert any("`agent_run_log`" in warning for warning in body["warnings"])


def test_the_list_has_pages_and_a_search(lake: Any) -> None:
    pages = [get(lake, params={"page": page, "page_size": 2}).json() for page in (1, 2, 3, 4)]
    assert [len(page["datasets"]) for page in pages] == [2, 2, 1, 0]
    names = [line["partition"] for page in pages for line in page["datasets"]]
    assert names == [one.partition for one in lake.catalog]
    found = get(lake, params={"q": "TOKEN cons"}).json()
    assert [line["partition"] for line in found["datasets"]] == ["platform/llm_token_usage"]


@pytest.mark.parametrize(
    ("name", "value"), [("page", "0"), ("page_size", "501"), ("page", "x"), ("q", "x" * 129)]
)
def test_wrong_parameters_are_named(lake: Any, problem: Any, name: str, value: str) -> None:
    body = problem(get(lake, params={name: value}), 422, "invalid_request")
    assert body["field"] == name


def test_one_dataset_by_either_name(lake: Any) -> None:
    body = one(lake, "platform/llm_token_usage")
    assert body == one(lake, "platform_llm_token_usage")
    assert [column["name"] for column in body["columns"]] == [
        "date", "run_id", "agent_id", "status", "cost_usd", "metadata", "created_at", "updated_at",
    ]  # fmt: skip
    columns = {column["name"]: column for column in body["columns"]}
    assert columns["status"]["values"] == ["succeeded", "failed"]
    assert columns["cost_usd"]["type"] == "DECIMAL(18,6)"
    assert columns["metadata"]["is_json"] is True
    assert body["time_column"] == "created_at"
    sizes = lake.object_sizes("platform/llm_token_usage")
    assert body["size_bytes"] == sum(sizes.values())
    assert body["written_at"] <= body["last_written_at"]
    assert lake.ask(body["example_sql"]).status_code == 200


def test_days_that_are_there_and_missing(lake: Any) -> None:
    days = one(lake, "platform_llm_token_usage")["days"]
    assert (days["count"], days["missing_count"], days["more_ranges"]) == (4, 2, 0)
    assert (days["oldest"], days["newest"]) == (days_ago(6).isoformat(), YESTERDAY.isoformat())
    assert days["present"] == [
        {"first": days_ago(3).isoformat(), "last": YESTERDAY.isoformat()},
        {"first": days_ago(6).isoformat(), "last": days_ago(6).isoformat()},
    ]
    assert days["missing"] == [{"first": days_ago(5).isoformat(), "last": days_ago(4).isoformat()}]


def test_a_dataset_without_data(lake: Any) -> None:
    body = one(lake, "external/slack")
    assert body["days"] == {
        "count": 0, "oldest": None, "newest": None, "present": [], "missing_count": 0,
        "missing": [], "more_ranges": 0,
    }  # fmt: skip
    assert (body["size_bytes"], body["written_at"], body["stale"]) == (0, None, None)


def test_a_write_shows(lake: Any) -> None:
    assert one(lake, "platform/agent_instances")["days"]["count"] == 0
    lake.write("platform/agent_instances", TODAY, ["aurora"])
    lake.poll(lambda: one(lake, "platform/agent_instances")["days"]["count"] == 1)


def test_old_days_that_were_written_just_now_make_nothing_fresh(lake: Any) -> None:
    lake.write("derived/intelligence_scores", days_ago(5), ["aurora"])
    lake.write("derived/intelligence_scores", days_ago(4), ["aurora"])
    lake.poll(lambda: one(lake, "derived/intelligence_scores")["days"]["count"] == 2)
    hours = datetime.now(UTC).hour
    body = one(lake, "derived/intelligence_scores")
    assert body["stale"] is True
    # Yesterday is due since three in the morning, and missed an hour later.
    assert body["days"]["missing_count"] == (3 if hours >= 4 else 2)
    line = next(
        line for line in get(lake).json()["datasets"] if line["partition"] == body["partition"]
    )
    assert line["stale"] is True

    def freshness(table: str) -> Any:
        return lake.ask(f"SELECT count(*) FROM {table}").json()["freshness"]

    assert [told["stale"] for told in freshness("derived_intelligence_scores")] == [True]
    assert [told["stale"] for told in freshness("agent_run_log")] == [False]


def test_tasks_and_upstreams(lake: Any) -> None:
    assert one(lake, "derived/intelligence_scores")["upstreams"] == ["agent_run_log"]
    assert "tasks" not in one(lake, "agent_run_log")
    body = one(lake, "platform/llm_token_usage", headers=ADMIN)
    assert body["tasks"] == ["lake.export_llm_token_usage", "lake.backfill_llm_token_usage"]


def test_an_unknown_dataset_offers_the_nearest(lake: Any, problem: Any) -> None:
    body = problem(get(lake, "/agent_run_logs"), 404, "unknown_dataset")
    assert body["hint"] == "Did you mean `agent_run_log`?"
    assert body["field"] == "name"
    for path in ("/a/b", "/a/b/c", "/" + "x" * 3000, "/%00", "/é"):
        problem(get(lake, path), 404, "unknown_dataset")
