"""`lake backfill --missing`: which days are asked for, by what the bucket has."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from lake_api.stack.state import StackState, read_state, write_state
from lake_api.tasks.schemas import STATUS_EXAMPLE
from lake_assets.catalog import LakeLocation, data_key, load_catalog
from lake_assets.storage.day_facts import DayFacts, merge_facts
from lake_assets.storage.store import LakeStore
from tests.cli.conftest import Service, lake
from tests.conftest import settings_of

TODAY = datetime.now(tz=UTC).date()
RUNS = "agent_run_log"


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def under_way(*ranges: tuple[str, int, int]) -> dict[str, Any]:
    """Dagster's answer: ranges by status, first and last as days ago."""
    return {
        "data": {
            "assetNodes": [
                {
                    "assetKey": {"path": RUNS.split("/")},
                    "assetPartitionStatuses": {
                        "__typename": "TimePartitionStatuses",
                        "ranges": [
                            {"status": status, "startKey": ago(first), "endKey": ago(last)}
                            for status, first, last in ranges
                        ],
                    },
                }
            ]
        }
    }


LAUNCHED = {
    "data": {
        "launchPartitionBackfill": {"__typename": "LaunchBackfillSuccess", "backfillId": "abcdefgh"}
    }
}


@pytest.fixture
def stored(home: Path, running: StackState, service: Service, bucket: LakeLocation):
    """Puts days into the bucket; the service that is told what to say is Dagster too."""
    settings = {**running.settings, **settings_of(bucket)}
    write_state(home, replace(running, dagster_url=service.url, settings=settings))
    store, dataset = LakeStore(bucket), load_catalog()[RUNS]

    def put(first: int, last: int, *, blocks: bool = False) -> None:
        for back in range(first, last - 1, -1):
            day = date.fromisoformat(ago(back))
            etag = store.put_whole(data_key(dataset, day), b"rows")
            if blocks:
                merge_facts(store, dataset, {day: DayFacts(etag=etag, rows=0, blocks=True)})

    return put


@pytest.fixture
def args() -> list[str]:
    return ["backfill", "--missing", "--dataset", RUNS, "--from", ago(9), "--to", ago(2)]


def test_only_missing_and_failed_days_are_one_backfill(service: Service, args: list[str], stored):
    stored(12, 8)
    stored(7, 7, blocks=True)
    # What Dagster believes to be there is not, and what failed there lies in the bucket.
    stored(3, 3)
    service.say(under_way(("MATERIALIZED", 4, 4), ("FAILED", 3, 3), ("MATERIALIZING", 6, 5)))
    service.say(LAUNCHED)
    result = lake(*args, "--no-wait", "--json")
    assert result.exit_code == 0, result.stderr
    days = [ago(7), ago(4), ago(2)]
    assert json.loads(result.stdout) == [
        {"dataset": RUNS, "task": "lake.export_agent_run_log", "days": days,
         "task_id": "abcdefgh"}
    ]  # fmt: skip
    _, launch = service.requests
    params = launch[3]["variables"]["params"]
    assert params["partitionNames"] == days
    assert params["assetSelection"] == [{"path": [RUNS]}]
    assert params["tags"] == [
        {"key": "lake/task", "value": "lake.export_agent_run_log"},
        {"key": "lake/launch", "value": ANY},
    ]


def test_it_waits_and_tells_what_failed(service: Service, args: list[str], stored):
    stored(12, 3)
    service.say(under_way())
    service.say(LAUNCHED)
    service.say({**STATUS_EXAMPLE, "status": "failed", "error": "no table"})
    result = lake(*args)
    assert result.exit_code == 1
    assert "1 of 1 datasets could not be written: agent_run_log: no table" in result.stderr
    assert "abcdefgh" in result.stdout


def test_it_waits_and_tells_which_days_were_left_out(service: Service, args: list[str], stored):
    stored(12, 5)
    service.say(under_way())
    service.say(LAUNCHED)
    why = f"{ago(4)}: not published yet: comes at noon"
    counts = {"total": 3, "done": 1, "failed": 0}
    ended = {"status": "succeeded", "partitions": counts, "error": None, "left_out": why}
    service.say({**STATUS_EXAMPLE, **ended})
    result = lake(*args, "--json")
    assert result.exit_code == 0, result.stderr
    assert f"{RUNS}: 1 of 3 days written; {why}\n" in result.stderr
    assert len(json.loads(result.stdout)) == 1


def test_a_dry_run_launches_nothing(service: Service, args: list[str], stored):
    stored(12, 3)
    service.say(under_way())
    result = lake(*args, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert RUNS in result.stdout
    assert len(service.requests) == 1


def test_a_lake_that_has_all_is_left_alone(service: Service, args: list[str], stored):
    stored(12, 1)
    service.say(under_way())
    result = lake(*args)
    assert (result.exit_code, result.stdout) == (0, "Nothing that is due is missing.\n")
    assert len(service.requests) == 1


def test_what_is_derived_from_missing_days_follows_by_itself(service: Service, stored):
    stored(12, 5)
    service.say(under_way())
    service.say(LAUNCHED)
    named = ["--dataset", RUNS, "--dataset", "derived/intelligence_scores"]
    result = lake("backfill", "--missing", *named, "--from", ago(3), "--no-wait", "--json")
    assert [one["dataset"] for one in json.loads(result.stdout)] == [RUNS]


@pytest.mark.usefixtures("stored")
def test_unknown_names_are_refused_with_a_hint(service: Service):
    result = lake("backfill", "--missing", "--dataset", "agent_run_logs")
    assert result.exit_code == 1
    assert "there is no dataset `agent_run_logs`" in result.stderr
    assert "agent_run_log" in result.stderr
    assert not service.requests


@pytest.mark.usefixtures("stored")
def test_what_is_not_configured_is_told_and_left_out(service: Service):
    named = ("--dataset", RUNS, "--dataset", "external/slack", "--from", ago(2))
    service.say(under_way())
    looked = lake("backfill", "--missing", *named, "--dry-run", "--json")
    assert looked.exit_code == 0, looked.stderr
    assert {one["dataset"] for one in json.loads(looked.stdout)} == {RUNS}
    assert "unconfigured, left out: external/slack (Slack is not configured: " in looked.stderr


@pytest.mark.usefixtures("stored")
def test_a_bucket_that_does_not_answer_is_told(service: Service, home: Path):
    state = read_state(home)
    settings = {**state.settings, "MINIO_URL": "http://127.0.0.1:9"}
    write_state(home, replace(state, settings=settings))
    result = lake("backfill", "--missing", "--dataset", RUNS)
    assert result.exit_code == 1
    assert "the bucket does not answer" in result.stderr
    assert not service.requests


def test_it_wants_to_be_told_what_to_backfill():
    assert lake("backfill").exit_code == 2
