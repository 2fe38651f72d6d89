import re
from typing import Any

import pytest

from lake_api.datasets.examples import example_sql, useful_columns
from lake_api.datasets.visible import Visibility, VisibleCatalog
from lake_api.query.guard import Guard
from lake_api.tool.definition import SHORT_DESCRIPTION_CHARS, tool_definition
from lake_api.tool.guide import EXAMPLES, GUIDE_CHARS, MIN_GUIDE_CHARS, guide
from lake_assets.catalog import Catalog, ColumnType, Kind, load_catalog

KEY = {"X-Internal-API-Key": "test-key-of-the-admin"}


ROUTE = "/api/v1/internal/lake/tool-definition"


def get(service: Any, **params: str) -> Any:
    """The whole guide in the description, unless `params` ask otherwise."""
    whole = {"guide": "description", "max_chars": str(GUIDE_CHARS)}
    return service.client.get(ROUTE, params={**whole, **params}, headers=KEY)


def test_the_default_can_be_registered_with_openai(service: Any) -> None:
    function = service.client.get(ROUTE, headers=KEY).json()["function"]
    assert 0 < len(function["description"]) <= SHORT_DESCRIPTION_CHARS
    guide_text = function["parameters"]["properties"]["sql"]["description"]
    assert "agent_run_log" in guide_text
    every = tool_definition(everything())["function"]
    assert len(every["description"]) <= SHORT_DESCRIPTION_CHARS
    assert len(str(every)) <= MIN_GUIDE_CHARS + 2_000


@pytest.mark.parametrize("form", ["openai", "anthropic", "mcp"])
def test_strict_schemas_require_every_field_and_take_null(service: Any, form: str) -> None:
    answer = service.client.get(
        ROUTE, params={"strict": "true", "tools": "all", "format": form}, headers=KEY
    )
    for tool in answer.json()["tools"]:
        function = tool.get("function", tool)
        schema = next(
            function[key]
            for key in ("parameters", "input_schema", "inputSchema")
            if key in function
        )
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False
        for field in schema["properties"].values():
            assert not {"default", "minLength", "maxLength"} & set(field)
        if form == "openai":
            assert function["strict"] is True
    limit = tool_definition(everything(), strict=True)["function"]["parameters"]["properties"]
    assert limit["limit"]["type"] == ["integer", "null"]
    assert limit["sql"]["type"] == "string"


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
    ("name", "value"),
    [
        ("columns", "some"),
        ("guide", "else"),
        ("datasets", "x" * 4001),
        ("format", "yaml"),
        ("tools", "none"),
        ("max_chars", "11999"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(service: Any, problem: Any, name: str, value: str) -> None:
    body = problem(get(service, **{name: value}), 422, "invalid_request")
    assert body["field"] == name


def test_the_guide_can_stand_at_the_parameter(service: Any) -> None:
    function = get(service, guide="parameter").json()["function"]
    assert len(function["description"]) <= SHORT_DESCRIPTION_CHARS
    assert "- agent_run_log (e)" in function["parameters"]["properties"]["sql"]["description"]


def everything() -> VisibleCatalog:
    return Visibility(load_catalog()).of(lambda _: True)


def lines_of(text: str) -> dict[str, str]:
    """The line of each dataset, by SQL name."""
    lines = re.findall(r"^- (\w+) \([esxd]\) (.*)$", text, flags=re.MULTILINE)
    return dict(lines)


def test_the_whole_catalogue_is_told_with_every_column_type_and_value() -> None:
    visible = everything()
    text = guide(visible)
    assert 40_000 < len(text) <= GUIDE_CHARS
    found = lines_of(text)
    for dataset in load_catalog():
        first = re.search(rf": {dataset.watermark}\b", found[dataset.sql_name])
        assert first, dataset.sql_name
        listed = found[dataset.sql_name][first.start() :].replace(": ", ", ", 1)
        for column in dataset.columns:
            key = "*" if column.name in dataset.key else ""
            assert f", {column.name}{key}" in listed
            # What was computed here, no name can tell.
            if dataset.kind is Kind.DERIVED and column.description:
                assert (
                    f"({everything().text(column.description, in_sql=True).rstrip('.')})" in listed
                )
            if column.values:
                assert f"{{{'|'.join(column.values)}}}" in listed
    usage = found["platform_llm_token_usage"]
    assert "created_at ts, agent_id, cost_usd dec, model, total_tokens int" in usage
    assert "status {success|error|rate_limited|timeout}" in usage


def test_notes_stand_beside_columns_and_name_tables_as_sql_does() -> None:
    text = guide(everything())
    assert "join `agent_run_log` on `run_id` without `date`" in text
    assert "Join `platform_agent_traces` and `platform_tool_execution_logs` on `run_id`" in text
    # What several datasets mind is said once.
    assert text.count("The partition is the day on which a row was first seen") == 2
    assert re.search(r"^\[\d+\] The partition is the day on which a row", text, re.MULTILINE)
    # What decides between right and wrong numbers is there in full.
    assert "Amounts are in 1,000 US dollars." in text
    assert "For revenue by day use `placed_at` of the latest rows" in text
    for dataset in load_catalog():
        if "/" in dataset.partition:
            assert f"`{dataset.partition}`" not in text


@pytest.mark.parametrize("max_chars", [MIN_GUIDE_CHARS, 15_000, 25_000, 32_000, 45_000, 200_000])
def test_the_guide_keeps_to_its_characters(max_chars: int) -> None:
    visible = everything()
    text = guide(visible, max_chars=max_chars)
    assert len(text) <= max_chars
    assert lines_of(text).keys() == {dataset.sql_name for dataset in visible.datasets}
    assert len(text) > 0.65 * min(max_chars, 200_000)


def test_few_datasets_are_told_with_all_meanings() -> None:
    visible = Visibility(load_catalog()).of(lambda one: one.partition.startswith("external/scc/"))
    text = guide(visible)
    assert len(text) <= GUIDE_CHARS
    for dataset in visible.datasets:
        assert f"Columns of {dataset.sql_name} " in text
    assert "Query the data lake: 11 datasets" in text


def test_a_short_description_is_short() -> None:
    short = tool_definition(everything(), short=True)["function"]["description"]
    assert len(short) <= SHORT_DESCRIPTION_CHARS


@pytest.mark.parametrize(
    ("form", "schema"), [("anthropic", "input_schema"), ("mcp", "inputSchema")]
)
def test_other_forms_say_the_same(service: Any, form: str, schema: str) -> None:
    function = get(service).json()["function"]
    tool = get(service, format=form).json()
    assert (tool["name"], tool["description"]) == (function["name"], function["description"])
    assert tool[schema] == function["parameters"]
    assert get(service, format="openai").json()["function"] == function


@pytest.mark.parametrize("form", ["openai", "anthropic", "mcp"])
def test_all_tools_at_once(service: Any, form: str) -> None:
    tools = get(service, format=form, tools="all").json()["tools"]
    told = [tool.get("function", tool) for tool in tools]
    assert tools[0] == get(service, format=form).json()
    names = [tool["name"] for tool in told]
    assert names[:4] == ["lake_query", "list_datasets", "describe_dataset", "sample_dataset"]
    for tool in told:
        schema = tool.get("parameters") or tool.get("input_schema") or tool["inputSchema"]
        assert schema["type"] == "object"
        assert tool["description"]


def test_every_example_passes_the_guard_on_the_whole_catalogue() -> None:
    catalog = load_catalog()
    guard = Guard(catalog)
    for example in EXAMPLES:
        checked = guard.check(example.sql)
        read = {dataset.partition for dataset in checked.datasets}
        assert read == set(example.partitions)
    for dataset in catalog:
        [only] = guard.check(example_sql(dataset)).datasets
        assert only is dataset


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
