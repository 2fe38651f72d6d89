from typing import Any

import pytest

from lake_api.query.guard import Guard
from lake_api.tool.definition import (
    _EXAMPLES,  # pyright: ignore[reportPrivateUsage]
    GUIDE_CHARS,
    SHORT_DESCRIPTION_CHARS,
    tool_definition,
    useful_columns,
)
from lake_assets.catalog import Catalog, ColumnType, load_catalog

KEY = {"X-Internal-API-Key": "test-key-of-the-admin"}


def get(service: Any, **params: str) -> Any:
    return service.client.get("/api/v1/internal/lake/tool-definition", params=params, headers=KEY)


def test_it_is_an_openai_function_tool(service: Any) -> None:
    tool = get(service).json()
    assert set(tool) == {"type", "function"}
    assert tool["type"] == "function"
    function = tool["function"]
    assert set(function) == {"name", "description", "parameters"}
    assert function["name"] == "lake_query"
    parameters = function["parameters"]
    assert parameters["type"] == "object"
    assert parameters["required"] == ["sql"]
    assert parameters["additionalProperties"] is False
    sql, limit = parameters["properties"]["sql"], parameters["properties"]["limit"]
    assert (sql["type"], sql["minLength"], sql["maxLength"]) == ("string", 10, 4000)
    assert (limit["type"], limit["minimum"], limit["maximum"]) == ("integer", 1, 1000)
    assert limit["default"] == 100


def test_every_dataset_has_one_line(service: Any, catalog: Catalog) -> None:
    lines = get(service).json()["function"]["description"].splitlines()
    for dataset in catalog:
        assert sum(line.startswith(f"- {dataset.sql_name} (") for line in lines) == 1
    assert any("(e) event" in line and "(s) snapshot" in line for line in lines)


def test_columns_on_request_by_either_name(service: Any) -> None:
    answer = get(service, datasets="agent_run_log, platform/llm_token_usage,agent_run_log")
    text = answer.json()["function"]["description"]
    assert text.count("Columns of agent_run_log (time column created_at; one row per run_id)") == 1
    assert "Columns of platform_llm_token_usage" in text
    assert "Columns of external_slack" not in text
    assert "- date DATE: the UTC day of the partition" in text
    assert "- status VARCHAR: How it ended. One of: 'succeeded', 'failed'." in text
    assert "- cost_usd DECIMAL(18,6): What it cost." in text
    assert "- metadata VARCHAR: JSON text; More." in text
    assert "- created_at TIMESTAMP WITH TIME ZONE: " in text


def test_all_columns(service: Any, catalog: Catalog) -> None:
    text = get(service, columns="all").json()["function"]["description"]
    for dataset in catalog:
        assert f"Columns of {dataset.sql_name} " in text


def test_an_unknown_dataset_offers_the_nearest(service: Any, problem: Any) -> None:
    body = problem(get(service, datasets="agent_run_logs"), 404, "unknown_dataset")
    assert body["hint"] == "Did you mean `agent_run_log`?"


@pytest.mark.parametrize(
    ("name", "value"), [("columns", "some"), ("guide", "else"), ("datasets", "x" * 4001)]
)
def test_wrong_parameters_are_named(service: Any, problem: Any, name: str, value: str) -> None:
    body = problem(get(service, **{name: value}), 422, "invalid_request")
    assert body["field"] == name


def test_the_guide_can_stand_at_the_parameter(service: Any) -> None:
    function = get(service, guide="parameter").json()["function"]
    assert len(function["description"]) <= SHORT_DESCRIPTION_CHARS
    assert "- agent_run_log (e)" in function["parameters"]["properties"]["sql"]["description"]


def test_the_whole_catalogue_fits_its_budget_with_columns() -> None:
    catalog = load_catalog()
    text = tool_definition(catalog)["function"]["description"]
    assert len(text) <= GUIDE_CHARS
    for dataset in catalog:
        [line] = [line for line in text.splitlines() if line.startswith(f"- {dataset.sql_name} (")]
        assert f": {dataset.watermark}, " in line
    short = tool_definition(catalog, short=True)["function"]["description"]
    assert len(short) <= SHORT_DESCRIPTION_CHARS


def test_every_example_passes_the_guard_on_the_whole_catalogue() -> None:
    catalog = load_catalog()
    guard = Guard(catalog)
    for example in _EXAMPLES:
        checked = guard.check(example.sql)
        read = {dataset.partition for dataset in checked.datasets}
        assert read == set(example.partitions)


def test_useful_columns_are_all_columns_time_first() -> None:
    for dataset in load_catalog():
        columns = useful_columns(dataset)
        assert sorted(columns, key=lambda one: one.name) == sorted(
            dataset.columns, key=lambda one: one.name
        )
        assert columns[0].name == dataset.watermark
        shown = {column.name for column in columns[:4]}
        assert ("agent_id" in shown) == ("agent_id" in {one.name for one in dataset.columns})
    usage = load_catalog()["platform/llm_token_usage"]
    assert {"agent_id", "cost_usd", "model"} <= {one.name for one in useful_columns(usage)[:4]}
    assert usage.column("cost_usd").type is ColumnType.DECIMAL
