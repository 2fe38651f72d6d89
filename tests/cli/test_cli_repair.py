"""`lake repair`: what is launched, how far it is, what is told at the end."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from lake_api.cli.repair import EVENTS
from lake_api.stack.state import StackState, write_state
from tests.cli.conftest import Service, lake

LAUNCHED = {"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "run-1"}}}}
COUNTS = {"looked_at": 9, "misread": 4, "rewritten": 3, "changed": 1, "foreign": 0, "unreadable": 0}


@pytest.fixture(autouse=True)
def dagster(home: Path, running: StackState, service: Service) -> None:
    """The service that is told what to say is Dagster."""
    write_state(home, replace(running, dagster_url=service.url))


def page(status: str, *events: dict[str, Any], cursor: str = "c", more: bool = False):
    connection = {"cursor": cursor, "hasMore": more, "events": list(events)}
    run = {"__typename": "Run", "status": status, "eventConnection": connection}
    return {"data": {"runOrError": run}}


def observation(**counts: int) -> dict[str, Any]:
    return {
        "__typename": "ObservationEvent",
        "assetKey": {"path": ["platform", "llm_token_usage"]},
        "metadataEntries": [
            {"label": label, "intValue": count} for label, count in (COUNTS | counts).items()
        ],
    }


def log(message: str) -> dict[str, Any]:
    return {"__typename": "LogMessageEvent", "message": message}


def test_it_launches_follows_and_tells_what_it_did(service: Service):
    service.say(LAUNCHED)
    service.say(page("STARTED", log("[1/2] agent_run_log: 3 of 9 days looked at"), cursor="a"))
    service.say(page("SUCCESS", observation(), cursor="b", more=True))
    service.say(page("SUCCESS"))
    result = lake("repair", "--dataset", "platform_llm_token_usage", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "task_id": "run-1",
        "dry_run": False,
        "datasets": [{"dataset": "platform/llm_token_usage", **COUNTS}],
    }
    assert "3 of 9 days looked at" in result.stderr
    launch, *asked = [request[3]["variables"] for request in service.requests]
    assert launch["params"]["selector"]["jobName"] == "repair"
    assert launch["params"]["runConfigData"]["ops"]["repair_days"]["config"] == {
        "datasets": ["platform/llm_token_usage"],
        "dry_run": False,
    }
    assert [one["after"] for one in asked] == [None, "a", "b"]


def test_without_anything_to_do_it_says_so(service: Service):
    service.say(LAUNCHED)
    service.say(page("SUCCESS"))
    result = lake("repair", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "Nothing needs repair.\n")
    config = service.requests[0][3]["variables"]["params"]["runConfigData"]
    assert config["ops"]["repair_days"]["config"] == {"datasets": [], "dry_run": True}


def test_days_that_cant_be_read_are_a_failure(service: Service):
    service.say(LAUNCHED)
    service.say(page("SUCCESS", observation(unreadable=2)))
    result = lake("repair")
    assert result.exit_code == 1
    assert "2 days can't be read" in result.stderr
    assert "platform/llm_token_usage" in result.stdout


def test_a_run_that_fails_names_its_first_error(service: Service):
    failure = {
        "__typename": "ExecutionStepFailureEvent",
        "error": {"message": "outer", "causes": [{"message": "StorageError: no answer\nmore"}]},
    }
    service.say(LAUNCHED)
    service.say(page("FAILURE", failure))
    result = lake("repair")
    assert result.exit_code == 1
    assert "lake.repair failed: StorageError: no answer" in result.stderr
    assert "Run it again" in result.stderr


def test_unknown_names_and_refusals_start_nothing(service: Service):
    result = lake("repair", "--dataset", "platform_llm_tokenusage")
    assert result.exit_code == 1
    assert "platform_llm_token_usage" in result.stderr
    assert service.requests == []
    service.say({"data": {"launchRun": {"__typename": "PipelineNotFoundError", "message": "no"}}})
    result = lake("repair")
    assert result.exit_code == 1
    assert "Dagster refused the launch: no" in result.stderr


def test_the_document_fits_the_schema():
    assert validate(create_schema().graphql_schema, parse(EVENTS)) == []
