"""The declarations of the platform's own tables, held against facts stated here once more."""

import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

from lake_assets.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Kind,
    PostgresSource,
    load_catalog,
)
from lake_assets.catalog.fields import COMMON
from lake_assets.datasets import (
    core_platform,
    platform_extended_agents,
    platform_extended_models,
    platform_extended_product,
    platform_intelligence,
)

SPEC_DAILY_TASKS = {
    "agent_run_log": "lake.export_agent_run_log",
    "mcp_request_logs": "lake.export_mcp_request_logs",
    "rlhf_signals": "lake.export_rlhf_signals",
    "billing_events": "lake.export_billing_events",
    "cli_telemetry": "lake.export_cli_telemetry",
    "platform/llm_token_usage": "lake.export_llm_token_usage",
    "platform/agent_heartbeats": "lake.export_agent_heartbeat_executions",
    "platform/agent_resource_usage": "lake.export_agent_resource_usage",
    "platform/billing_aggregations": "lake.export_mcp_billing_aggregations",
    "platform/agent_instances": "lake.export_agent_instances",
    "platform/agent_tasks": "lake.export_agent_tasks",
    "platform/agent_workload": "lake.export_agent_workload",
    "platform/agent_traces": "lake.export_agent_traces",
    "platform/a2a_interactions": "lake.export_a2a_interactions",
    "platform/developer_earnings": "lake.export_developer_earnings",
    "platform/developer_payouts": "lake.export_developer_payouts",
    "platform/dedicated_deployments": "lake.export_dedicated_deployments",
    "platform/multimodal_usage": "lake.export_multimodal_usage",
    "platform/mcp_usage": "lake.export_mcp_usage_logs",
    "platform/soc2_evidence": "lake.export_soc2_evidence",
}
SPEC_BACKFILL_TASKS = {
    "mcp_request_logs": "lake.backfill_mcp_request_logs",
    "platform/llm_token_usage": "lake.backfill_llm_token_usage",
    "platform/audio_usage": "lake.backfill_audio_model_usage",
    "platform/agent_audit_logs": "lake.backfill_agent_audit_logs",
}


def stated(*modules: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """The specification's datasets, and those proposed beside them: facts are stated about these.

    Somebody's own declaration is neither, and may be added without a word here.
    """
    return tuple(
        one
        for datasets in modules
        for one in datasets
        if one.proposed or one.partition in SPEC_DAILY_TASKS
    )


CORE = stated(core_platform.DATASETS)
INTELLIGENCE = stated(platform_intelligence.DATASETS)
EXTENDED = stated(
    platform_extended_agents.DATASETS,
    platform_extended_models.DATASETS,
    platform_extended_product.DATASETS,
)
ALL = (*CORE, *INTELLIGENCE, *EXTENDED)

SNAPSHOTS = {
    "platform/agent_instances",
    "platform/agent_tasks",
    "platform/agent_workload",
    "platform/dedicated_deployments",
    "platform/social_analytics",
    "platform/sprint_plans",
    "platform/swarm_quotas",
    "platform/zeromemory_stats",
}
WINDOWED_BY_CHANGE = {
    "platform/agent_swarm_sessions",
    "platform/coding_sessions",
    "platform/developer_payouts",
    "platform/live_streams",
}
CLOSED_VOCABULARIES = {
    "channel",
    "device_type",
    "message_type",
    "modality",
    "operation",
    "outcome",
    "plan",
    "role",
    "status",
    "trigger_type",
    "unit",
}
TYPES_BY_ENDING = {
    "_usd": {ColumnType.DECIMAL},
    "_at": {ColumnType.TIMESTAMP},
    "_bytes": {ColumnType.INT64},
    "_tokens": {ColumnType.INT64},
    "_id": {ColumnType.STRING},
}


def columns() -> Iterator[tuple[Dataset, Column]]:
    for dataset in ALL:
        for column in dataset.columns:
            yield dataset, column


def label(dataset: Dataset, column: Column) -> str:
    return f"{dataset.partition}.{column.name}"


def test_each_group_is_whole():
    assert {dataset.partition for dataset in (*CORE, *INTELLIGENCE)} == set(SPEC_DAILY_TASKS)
    assert {dataset.group for dataset in CORE} == {"Core Platform"}
    assert {dataset.group for dataset in INTELLIGENCE} == {"Platform Intelligence Layer"}
    assert {dataset.group for dataset in EXTENDED} == {"Platform Extended"}


def test_the_specified_tasks_write_the_specified_partitions():
    declared = {dataset.partition: dataset.daily_task for dataset in (*CORE, *INTELLIGENCE)}
    assert declared == SPEC_DAILY_TASKS


def test_proposed_tasks_are_named_for_what_they_export():
    unlike = {
        dataset.daily_task
        for dataset in EXTENDED
        if dataset.daily_task != f"lake.export_{dataset.partition.removeprefix('platform/')}"
    }
    assert unlike == {"lake.export_audio_model_usage"}, "named like its backfill in the spec"


def test_backfill_tasks_are_those_of_the_spec():
    backfills = {dataset.partition: dataset.tasks[1:] for dataset in ALL if dataset.tasks[1:]}
    assert backfills == {name: (task,) for name, task in SPEC_BACKFILL_TASKS.items()}


def test_only_the_extended_group_is_proposed():
    assert {dataset for dataset in ALL if dataset.proposed} == set(EXTENDED)


def test_each_table_of_the_platform_is_exported_once():
    tables = Counter(str(dataset.source) for dataset in ALL)
    assert [table for table, times in tables.items() if times > 1] == []
    schemas = {s.source.schema for s in ALL if isinstance(s.source, PostgresSource)}
    assert schemas == {"public"}, "schemas of their own belong to the business apps"


def test_snapshots_and_windows():
    assert {d.partition for d in ALL if d.kind is Kind.SNAPSHOT} == SNAPSHOTS
    assert {d.partition for d in ALL if d.kind not in (Kind.SNAPSHOT, Kind.EVENT)} == set()
    by_change = {d.partition for d in ALL if d.kind is Kind.EVENT and d.watermark == "updated_at"}
    assert by_change == WINDOWED_BY_CHANGE
    assert {d.watermark for d in ALL if d.partition not in SNAPSHOTS | by_change} == {"created_at"}


@pytest.mark.parametrize("partition", sorted(WINDOWED_BY_CHANGE))
def test_a_reader_is_told_that_changed_rows_repeat(partition: str):
    dataset = next(d for d in ALL if d.partition == partition)
    assert f"latest `updated_at` per `{dataset.key[0]}`" in dataset.notes


def test_an_empty_day_is_a_fault_only_where_something_always_happens():
    assert {dataset.partition for dataset in ALL if dataset.expect_rows} == {
        "agent_run_log",
        "mcp_request_logs",
        "platform/llm_token_usage",
        "platform/agent_instances",
        "platform/agent_workload",
    }


def test_every_dataset_has_a_key_and_neither_key_nor_watermark_is_ever_null():
    assert [dataset.partition for dataset in ALL if not dataset.key] == []
    nullable = [
        f"{dataset.partition}.{name}"
        for dataset in ALL
        for name in (*dataset.key, dataset.watermark)
        if not dataset.column(name).required
    ]
    assert nullable == []


def test_closed_vocabularies_are_listed():
    unlisted = [
        label(dataset, column)
        for dataset, column in columns()
        if column.name in CLOSED_VOCABULARIES and not column.values
    ]
    assert unlisted == []


def test_accepted_values_are_distinct_words_of_a_text_column():
    wrong = [
        label(dataset, column)
        for dataset, column in columns()
        if column.values
        and (
            column.type is not ColumnType.STRING
            or len(set(column.values)) != len(column.values)
            or not all(re.fullmatch(r"[a-z][a-z0-9_]*|[A-Z]+", value) for value in column.values)
        )
    ]
    assert wrong == []


def test_the_ending_of_a_name_tells_the_type():
    wrong = [
        label(dataset, column)
        for dataset, column in columns()
        for ending, types in TYPES_BY_ENDING.items()
        if column.name.endswith(ending) and column.type not in types
    ]
    assert wrong == []


def test_every_column_has_a_sentence():
    wrong = [
        f"{label(dataset, column)}: {column.description}"
        for dataset, column in columns()
        if not re.fullmatch(r"[A-Z0-9`].*\.", column.description)
        or any(mark in column.description for mark in "{}|")
    ]
    assert wrong == []


def test_summaries_are_one_finished_line():
    wrong = [d.partition for d in ALL if "\n" in d.description or not d.description.endswith(".")]
    assert wrong == []


def test_names_in_the_texts_exist():
    """Every word in backticks is a dataset, or a column of it or of a dataset named with it."""
    catalog = Catalog(ALL)
    unknown: list[str] = []
    for dataset in ALL:
        texts = [dataset.notes, *(column.description for column in dataset.columns)]
        quoted = [word for text in texts for word in re.findall(r"`([^`]+)`", text)]
        named = [catalog[word] for word in quoted if word in catalog]
        known = {column.name for one in (dataset, *named) for column in one.columns}
        known |= {one.partition for one in named} | {"date", "coalesce"}
        unknown += [
            f"{dataset.partition}: {name}"
            for text in quoted
            for name in re.findall(r"[\w/*]+", text)
            if not any(fnmatch(candidate, name) for candidate in known)
        ]
    assert unknown == []


def test_shared_sentences_are_shared():
    uses = Counter(
        column.name
        for dataset in load_catalog()
        for column in dataset.columns
        if column.description == COMMON.get(column.name)
    )
    assert [name for name in COMMON if uses[name] < 2] == []


def test_the_examples_of_the_spec_find_their_columns():
    by_sql_name = Catalog(ALL).by_sql_name
    for table, names in {
        "agent_run_log": ("agent_id", "status"),
        "platform_llm_token_usage": ("model", "total_tokens", "cost_usd"),
    }.items():
        assert [by_sql_name[table].column(name).required for name in names] == [True] * len(names)
