"""`lake backfill --missing`: which days are asked for, as what Dagster says is there."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from lake_api.stack.state import StackState, write_state
from lake_api.tasks.schemas import STATUS_EXAMPLE
from tests.cli.conftest import Service, lake

TODAY = datetime.now(tz=UTC).date()
RUNS = "agent_run_log"


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def there(*ranges: tuple[str, int, int], partition: str = RUNS) -> dict[str, Any]:
    """Dagster's answer: ranges by status, first and last as days ago."""
    return {
        "data": {
            "assetNodes": [
                {
                    "assetKey": {"path": partition.split("/")},
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
def dagster(home: Path, running: StackState, service: Service) -> None:
    """The service that is told what to say is Dagster too."""
    write_state(home, replace(running, dagster_url=service.url))


@pytest.fixture
def args() -> list[str]:
    return ["backfill", "--missing", "--dataset", RUNS, "--from", ago(9), "--to", ago(2)]


@pytest.mark.usefixtures("dagster")
def test_only_missing_and_failed_days_are_one_backfill(service: Service, args: list[str]):
    service.say(there(("MATERIALIZED", 12, 8), ("FAILED", 7, 7), ("MATERIALIZING", 6, 5)))
    service.say(LAUNCHED)
    result = lake(*args, "--no-wait", "--json")
    assert result.exit_code == 0, result.stderr
    days = [ago(7), ago(4), ago(3), ago(2)]
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


@pytest.mark.usefixtures("dagster")
def test_it_waits_and_tells_what_failed(service: Service, args: list[str]):
    service.say(there(("MATERIALIZED", 12, 3)))
    service.say(LAUNCHED)
    service.say({**STATUS_EXAMPLE, "status": "failed", "error": "no table"})
    result = lake(*args)
    assert result.exit_code == 1
    assert "1 of 1 datasets could not be written: agent_run_log: no table" in result.stderr
    assert "abcdefgh" in result.stdout


@pytest.mark.usefixtures("dagster")
def test_it_waits_and_tells_which_days_were_left_out(service: Service, args: list[str]):
    service.say(there(("MATERIALIZED", 12, 5)))
    service.say(LAUNCHED)
    why = f"{ago(4)}: not published yet: comes at noon"
    counts = {"total": 3, "done": 1, "failed": 0}
    ended = {"status": "succeeded", "partitions": counts, "error": None, "left_out": why}
    service.say({**STATUS_EXAMPLE, **ended})
    result = lake(*args, "--json")
    assert result.exit_code == 0, result.stderr
    assert f"{RUNS}: 1 of 3 days written; {why}\n" in result.stderr
    assert len(json.loads(result.stdout)) == 1


@pytest.mark.usefixtures("dagster")
def test_a_dry_run_launches_nothing(service: Service, args: list[str]):
    service.say(there(("MATERIALIZED", 12, 3)))
    result = lake(*args, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert RUNS in result.stdout
    assert len(service.requests) == 1


@pytest.mark.usefixtures("dagster")
def test_a_lake_that_has_all_is_left_alone(service: Service, args: list[str]):
    service.say(there(("MATERIALIZED", 12, 1)))
    result = lake(*args)
    assert (result.exit_code, result.stdout) == (0, "Nothing that is due is missing.\n")
    assert len(service.requests) == 1


@pytest.mark.usefixtures("dagster")
def test_what_is_derived_from_missing_days_follows_by_itself(service: Service):
    service.say(there(("MATERIALIZED", 12, 5)))
    service.say(LAUNCHED)
    named = ["--dataset", RUNS, "--dataset", "derived/intelligence_scores"]
    result = lake("backfill", "--missing", *named, "--from", ago(3), "--no-wait", "--json")
    assert [one["dataset"] for one in json.loads(result.stdout)] == [RUNS]


@pytest.mark.usefixtures("dagster")
def test_unknown_names_are_refused_with_a_hint(service: Service):
    result = lake("backfill", "--missing", "--dataset", "agent_run_logs")
    assert result.exit_code == 1
    assert "there is no dataset `agent_run_logs`" in result.stderr
    assert "agent_run_log" in result.stderr
    assert not service.requests


def test_it_wants_to_be_told_what_to_backfill():
    assert lake("backfill").exit_code == 2
