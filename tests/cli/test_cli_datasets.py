"""`lake datasets`, `lake describe` and `lake sample`: what is sent, and how answers are told."""

import json
from typing import Any

import pytest

from lake_api.datasets.schemas import INFO_EXAMPLE, LIST_EXAMPLE, SAMPLE_EXAMPLE
from lake_assets.catalog import load_catalog
from tests.cli.conftest import KEY, Service, lake

LAKE = "/api/v1/internal/lake"
TOKEN = "lake_agent_text"


def test_datasets_are_those_that_the_service_tells_of(service: Service):
    service.say(LIST_EXAMPLE)
    result = lake("datasets", "--search", "run log", "--api-url", service.url)
    assert result.exit_code == 0
    line = result.stdout.splitlines()[2]
    assert line.split()[:4] == ["example_runs", "event", "2026-11-21", "690"]
    assert line.endswith("Runs of agents")
    assert service.requests[0][:2] == ("GET", f"{LAKE}/datasets?q=run+log&page_size=500")


def test_no_dataset_is_said(service: Service):
    service.say({**LIST_EXAMPLE, "datasets": [], "total": 0})
    assert lake("datasets", "--api-url", service.url).stdout == "There is no such dataset.\n"


def test_declared_datasets_need_no_service_and_tell_their_tasks():
    catalog = load_catalog()
    facts = json.loads(lake("datasets", "--declared", "--json").stdout)
    assert [one["sql_name"] for one in facts] == [
        dataset.sql_name for members in catalog.groups.values() for dataset in members
    ]
    table = lake("datasets", "--declared").stdout
    assert not [one["sql_name"] for one in facts if one["sql_name"] not in table]
    assert not [one["tasks"][0] for one in facts if one["tasks"][0] not in table]
    assert lake("datasets", "--declared", "--search", "x").exit_code == 2


def test_a_dataset_is_described(service: Service):
    service.say(INFO_EXAMPLE)
    result = lake("describe", "platform/llm_token_usage", "--api-url", service.url)
    assert result.exit_code == 0
    for told in ("690, 2025-01-01 to 2026-11-21", "succeeded, failed", "How it ended", "GROUP BY"):
        assert told in result.stdout
    assert service.requests[0][1] == f"{LAKE}/datasets/platform/llm_token_usage"


def test_a_name_can_not_lead_to_another_route(service: Service):
    service.say(INFO_EXAMPLE)
    lake("describe", "a?b=c#d", "--api-url", service.url)
    assert service.requests[0][1] == f"{LAKE}/datasets/a%3Fb%3Dc%23d"


def test_a_sample_is_shown(service: Service):
    service.say({**SAMPLE_EXAMPLE, "warnings": ["few"]})
    result = lake(
        "sample", "agent_run_log", "--rows", "3", "--mode", "random", "--seed", "7",
        "--date", "2026-11-20", "--api-url", service.url,
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == list(SAMPLE_EXAMPLE["columns"])
    assert "warning: few" in result.stdout
    assert service.requests[0][1] == (
        f"{LAKE}/datasets/agent_run_log/sample?rows=3&mode=random&seed=7&date=2026-11-20"
    )


def test_a_sample_as_csv_tells_warnings_elsewhere(service: Service):
    service.say({**SAMPLE_EXAMPLE, "columns": ["a"], "rows": [[None], ["x,y"]], "warnings": ["w"]})
    result = lake("sample", "agent_run_log", "--csv", "--api-url", service.url)
    assert result.stdout == 'a\n""\n"x,y"\n'
    assert result.stderr == "warning: w\n"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("datasets",), LIST_EXAMPLE),
        (("describe", "agent_run_log"), INFO_EXAMPLE),
        (("sample", "agent_run_log"), SAMPLE_EXAMPLE),
    ],
)
def test_json_is_the_answer_as_it_came(
    service: Service, arguments: tuple[str, ...], answer: dict[str, Any]
):
    service.say(answer)
    result = lake(*arguments, "--json", "--api-url", service.url)
    assert json.loads(result.stdout) == answer
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [("datasets",), ("describe", "x"), ("sample", "x")])
def test_a_refusal_is_told_in_words_and_as_json(service: Service, arguments: tuple[str, ...]):
    refusal = {
        "status": 404, "code": "unknown_dataset", "title": "Not found", "detail": "No such.",
        "hint": "Did you mean `y`?",
    }  # fmt: skip
    service.say(refusal, status=404)
    result = lake(*arguments, "--api-url", service.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "lake: No such. [unknown_dataset]\n  Did you mean `y`?\n"
    as_json = lake(*arguments, "--json", "--api-url", service.url)
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, refusal)


def test_a_token_is_shown_in_place_of_the_key(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKE_TOKEN", TOKEN)
    monkeypatch.setenv("AINATIVE_INTERNAL_API_KEY", KEY)
    service.say(LIST_EXAMPLE)
    assert lake("datasets", "--api-url", service.url).exit_code == 0
    headers = service.requests[0][2]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert "x-internal-api-key" not in headers


def test_a_token_is_shown_to_the_running_stack(
    service: Service, running: object, monkeypatch: pytest.MonkeyPatch
):
    assert running
    monkeypatch.setenv("LAKE_TOKEN", TOKEN)
    service.say(LIST_EXAMPLE)
    assert lake("datasets").exit_code == 0
    assert service.requests[0][2]["authorization"] == f"Bearer {TOKEN}"
