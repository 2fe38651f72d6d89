"""The declarations of business apps, outside sources and derived datasets, held against facts."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import pytest

from lake_assets.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    ExternalSource,
    Kind,
    PostgresSource,
    load_catalog,
)
from lake_assets.datasets import (
    business,
    core_external,
    derived,
    external_economy,
    external_population,
    external_sec,
    external_signals,
)

SPEC_TASKS = {
    "package_stats": "lake.collect_package_stats",
    "github_events": "lake.collect_github_events",
    "stripe_events": "lake.export_stripe_events",
    "platform/kong_metrics": "lake.export_kong_metrics",
    "external/slack": "lake.collect_slack_channel_stats",
    "external/email": "lake.collect_email_delivery_events",
    "external/scc/edd_labor": "lake.collect_scc_edd_labor",
    "external/scc/demographics": "lake.collect_scc_census_demographics",
    "external/scc/fred_indicators": "lake.collect_scc_fred_indicators",
    "external/scc/federal_awards": "lake.collect_scc_federal_awards",
    "external/scc/census_business": "lake.collect_scc_census_business",
    "external/scc/irs_soi": "lake.collect_scc_irs_soi",
    "external/scc/cdtfa_taxable_sales": "lake.collect_scc_cdtfa_taxable_sales",
    "external/scc/cdtfa_permits": "lake.collect_scc_cdtfa_permits",
    "external/scc/sec_form_d": "lake.collect_sec_form_d lake.collect_sec_form_d_backfill",
    "external/scc/sec_filings": (
        "lake.collect_sec_public_filings lake.collect_sec_public_filings_backfill"
    ),
    "external/scc/sec_xbrl": "lake.collect_sec_xbrl_financials",
    "business/crm/deals": "lake.export_zeropipeline_deals",
    "business/crm/activities": "lake.export_zeropipeline_activities",
    "business/crm/pipeline": "lake.export_zeropipeline_stages",
    "business/commerce/orders": "lake.export_zerocommerce_orders",
    "business/commerce/products": "lake.export_zerocommerce_products",
    "business/voice/calls": "lake.export_zerovoice_calls",
    "business/voice/sms": "lake.export_zerovoice_sms",
    "derived/predictions/request_volume_forecast": "lake.predict_request_volume_forecast",
    "derived/predictions/agent_anomalies": "lake.predict_agent_anomalies",
    "derived/predictions/token_cost_forecast": "lake.predict_token_cost_forecast",
}
PROPOSED_TASKS = {
    # The spec names the partition, and at most a backfill task for it:
    "external/luma/events": "lake.collect_luma_events",
    "external/dealroom/sessions": "lake.export_dealroom_sessions",
    "chatwoot/conversations": (
        "lake.export_chatwoot_conversations lake.backfill_chatwoot_conversations"
    ),
    # The spec names the tasks, and no partition for them:
    "business/equity/stakeholders": "lake.export_opencap_stakeholders",
    "business/equity/grants": "lake.export_opencap_grants",
    "business/equity/share_classes": "lake.export_opencap_share_classes",
    "business/invoicing/invoices": "lake.export_zeroinvoice_invoices",
    "business/invoicing/payments": "lake.export_zeroinvoice_payments",
    # The spec's bucket tree names the folders, and neither partition nor task:
    "derived/intelligence_scores": "lake.score_intelligence",
    "derived/velocity_metrics": "lake.measure_velocity",
}
STATED = SPEC_TASKS | PROPOSED_TASKS


def stated(*modules: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """The datasets that facts are stated about here; a declaration may be added without any."""
    return tuple(one for datasets in modules for one in datasets if one.partition in STATED)


BUSINESS = stated(business.DATASETS)
EXTERNAL = stated(
    core_external.DATASETS,
    external_economy.DATASETS,
    external_population.DATASETS,
    external_sec.DATASETS,
    external_signals.DATASETS,
)
DERIVED = stated(derived.DATASETS)
ALL = (*BUSINESS, *EXTERNAL, *DERIVED)
BY_PARTITION = {dataset.partition: dataset for dataset in ALL}
SLOW = {
    "external/scc/edd_labor",
    "external/scc/demographics",
    "external/scc/fred_indicators",
    "external/scc/census_business",
    "external/scc/irs_soi",
    "external/scc/cdtfa_taxable_sales",
    "external/scc/cdtfa_permits",
}
SATURDAY = date(2026, 11, 21)
TICKS = {
    # cron, first and last day before the tick
    "package_stats": ("0 6 * * *", 7, 1),
    "github_events": ("0 8 * * *", 1, 1),
    "stripe_events": ("30 0 * * *", 1, 1),
    "platform/kong_metrics": ("50 23 * * *", 0, 0),
    "external/slack": ("30 1 * * *", 1, 1),
    "external/email": ("30 1 * * *", 3, 1),
    "external/luma/events": ("0 2 * * *", 0, 0),
    "external/dealroom/sessions": ("30 0 * * *", 2, 1),
    "chatwoot/conversations": ("30 1 * * *", 1, 1),
    "external/scc/federal_awards": ("0 12 * * *", 7, 1),
    "external/scc/edd_labor": ("0 20 * * *", 0, 0),
    "external/scc/fred_indicators": ("30 14 * * *", 0, 0),
    "external/scc/demographics": ("0 9 * * 1", 0, 0),
    "external/scc/census_business": ("0 9 * * 1", 0, 0),
    "external/scc/irs_soi": ("0 9 * * 1", 0, 0),
    "external/scc/cdtfa_taxable_sales": ("0 9 * * 1", 0, 0),
    "external/scc/cdtfa_permits": ("0 9 * * 1", 0, 0),
    "external/scc/sec_form_d": ("0 10 * * 2-6", 5, 1),
    "external/scc/sec_filings": ("0 10 * * 2-6", 5, 1),
    "external/scc/sec_xbrl": ("0 11 * * 2-6", 5, 1),
}
LONGEST_WAIT_H = {"*": 24, "1": 7 * 24, "2-6": 3 * 24}
"""Hours between two ticks, by the last field of the cron."""


def columns() -> Iterator[tuple[Dataset, Column]]:
    for dataset in ALL:
        for column in dataset.columns:
            yield dataset, column


def label(dataset: Dataset, column: Column) -> str:
    return f"{dataset.partition}.{column.name}"


def formulas(notes: str) -> dict[str, str]:
    """The formulas of the notes: bullets `name` = expression, up to the end of the sentence."""
    bullets = re.findall(r"^- `(\w+)` = (.+?)\.(?:\s|$)", notes, re.DOTALL | re.MULTILINE)
    return {name: text for name, text in bullets if not text.startswith("the ")}


def evaluate(expression: str, row: dict[str, float]) -> float:
    values = ", ".join(f"{value}::DOUBLE AS {name}" for name, value in row.items())
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {expression} FROM (SELECT {values})").fetchone()
    assert found is not None
    return found[0]


def test_every_task_writes_its_partition():
    declared = {partition: " ".join(dataset.tasks) for partition, dataset in BY_PARTITION.items()}
    assert declared == SPEC_TASKS | PROPOSED_TASKS
    assert len(BY_PARTITION) == len(ALL)


def test_proposed_is_what_the_spec_does_not_name():
    assert {d.partition for d in ALL if d.proposed} == set(PROPOSED_TASKS)


def test_the_whole_lake_stands_together():
    catalog = load_catalog()
    assert {dataset.partition for dataset in ALL} <= {dataset.partition for dataset in catalog}


def test_groups():
    members: dict[str, int] = {}
    for dataset in ALL:
        members[dataset.group] = members.get(dataset.group, 0) + 1
    assert members == {
        "Business App Exports": 12,
        "Core Platform": 3,
        "Platform Intelligence Layer": 1,
        "External Data": 15,
        "Chatwoot": 1,
        "Predictions": 3,
        "Derived Metrics": 2,
    }


@pytest.mark.parametrize("partition", sorted(TICKS))
def test_a_tick_writes_the_days_that_its_source_can_tell_of(partition: str):
    cron, oldest, newest = TICKS[partition]
    schedule = BY_PARTITION[partition].schedule
    assert schedule.cron == cron
    days = schedule.days(SATURDAY)
    assert (days[0], days[-1]) == (
        SATURDAY - timedelta(days=oldest),
        SATURDAY - timedelta(days=newest),
    )


def test_every_outside_source_has_its_times_checked():
    assert set(TICKS) == {dataset.partition for dataset in EXTERNAL}


def test_nothing_is_stale_before_its_next_tick():
    early = [
        dataset.partition
        for dataset in ALL
        if dataset.freshness_h <= LONGEST_WAIT_H[dataset.schedule.cron.split()[-1]]
    ]
    assert early == []


def test_derived_datasets_run_after_the_inputs_of_yesterday():
    catalog = load_catalog()
    # Velocity of a day is of the seven days before it, with the plans as the day begins.
    same_day = {"derived/velocity_metrics"}
    for dataset in DERIVED:
        lag_d = 0 if dataset.partition in same_day else 1
        assert dataset.schedule.days(SATURDAY) == (SATURDAY - timedelta(days=lag_d),)
        minute, hour = dataset.schedule.cron.split()[:2]
        for upstream in dataset.upstreams:
            other_minute, other_hour = catalog[upstream].schedule.cron.split()[:2]
            assert (int(other_hour), int(other_minute)) < (int(hour), int(minute)), upstream


def test_derived_datasets_name_what_they_read():
    upstreams = {d.partition.removeprefix("derived/"): set(d.upstreams) for d in DERIVED}
    assert upstreams == {
        "predictions/request_volume_forecast": {"mcp_request_logs"},
        "predictions/agent_anomalies": {
            "agent_run_log",
            "platform/llm_token_usage",
            "mcp_request_logs",
        },
        "predictions/token_cost_forecast": {"platform/llm_token_usage"},
        "intelligence_scores": {
            "agent_run_log",
            "platform/llm_token_usage",
            "rlhf_signals",
            "platform/agent_quality_trends",
        },
        "velocity_metrics": {
            "platform/sprint_plans",
            "platform/coding_sessions",
            "platform/project_executions",
        },
    }


def test_slow_sources_say_which_row_is_the_latest():
    revised = {d.partition for d in EXTERNAL if any(c.name == "row_hash" for c in d.columns)}
    assert revised == SLOW
    for partition in SLOW:
        dataset = BY_PARTITION[partition]
        assert dataset.column("row_hash").required
        assert "greatest `collected_at` per key" in dataset.notes
        stated_key = re.search(r"Key: ([\w, \n]+)\.", dataset.notes)
        assert stated_key is not None, partition
        named = {name.strip() for name in stated_key[1].split(",")}
        # A vintage is part of what identifies a row, but not of what is revised.
        assert named == set(dataset.key) - {"realtime_start"}


def test_outside_rows_say_when_they_were_read():
    moments = {d.partition: "collected_at" for d in EXTERNAL}
    moments["platform/kong_metrics"] = "scraped_at"
    for partition, name in moments.items():
        column = BY_PARTITION[partition].column(name)
        assert column.required
        assert column.type is ColumnType.TIMESTAMP


def test_one_pool_per_upstream_host():
    pools = {d.partition: d.source.pool for d in EXTERNAL if isinstance(d.source, ExternalSource)}
    assert [name for name, pool in pools.items() if not pool] == []
    for host, names in {
        "sec": {"sec_form_d", "sec_filings", "sec_xbrl"},
        "census": {"demographics", "census_business"},
        "cdtfa": {"cdtfa_taxable_sales", "cdtfa_permits"},
    }.items():
        assert {p for p, pool in pools.items() if pool == host} == {
            f"external/scc/{name}" for name in names
        }
    others = [pool for pool in pools.values() if pool and pool not in {"sec", "census", "cdtfa"}]
    assert len(others) == len(set(others))


def test_history_is_offered_only_where_it_can_be_read():
    early = {d.partition for d in ALL if d.first_day < date(2024, 1, 1)}
    assert early == {
        "external/scc/federal_awards",
        "external/scc/sec_form_d",
        "external/scc/sec_filings",
        "external/scc/sec_xbrl",
    }
    assert BY_PARTITION["external/scc/federal_awards"].first_day == date(2007, 10, 1)


def test_each_app_has_a_schema_of_its_own():
    schemas: dict[str, set[str]] = {}
    for dataset in BUSINESS:
        assert isinstance(dataset.source, PostgresSource)
        app = dataset.partition.split("/")[1]
        schemas.setdefault(app, set()).add(dataset.source.schema)
    assert schemas == {
        "crm": {"zeropipeline"},
        "commerce": {"zerocommerce"},
        "voice": {"zerovoice"},
        "equity": {"opencap"},
        "invoicing": {"zeroinvoice"},
    }


def test_readers_of_business_apps_are_told_how_rows_repeat():
    for dataset in BUSINESS:
        if dataset.kind is Kind.SNAPSHOT:
            assert "filter on one `date`" in dataset.notes
        elif dataset.watermark == "updated_at":
            assert "latest `updated_at` per key" in dataset.notes
    changing = {
        d.partition for d in BUSINESS if d.kind is Kind.EVENT and d.watermark == "updated_at"
    }
    assert changing == {"business/commerce/orders", "business/invoicing/invoices"}


def test_every_row_can_be_told_apart():
    keyless = [dataset.partition for dataset in ALL if not dataset.key]
    assert keyless == ["platform/kong_metrics"], "a sample is known by all of its labels only"
    for dataset in ALL:
        kinds = {dataset.column(name).type for name in dataset.key}
        assert not kinds & {ColumnType.JSON, ColumnType.FLOAT64, ColumnType.DECIMAL}
        if dataset.key:
            assert dataset.column(dataset.key[0]).required
        assert dataset.column(dataset.watermark).required


def test_key_columns_that_may_be_null_say_so():
    silent = [
        f"{dataset.partition}.{name}: {dataset.column(name).description}"
        for dataset in ALL
        for name in dataset.key
        if not dataset.column(name).required
        and not re.search(r"null|CES only", dataset.column(name).description)
    ]
    assert silent == []


def test_every_column_has_a_sentence():
    wrong = [
        f"{label(dataset, column)}: {column.description}"
        for dataset, column in columns()
        if not re.fullmatch(r"[A-Z0-9`].*\.", column.description)
        or any(mark in column.description for mark in "{}|")
    ]
    assert wrong == []


def test_money_in_the_name_is_money_in_the_type():
    wrong = [
        label(dataset, column)
        for dataset, column in columns()
        if column.name.endswith("_usd")
        and column.type is not ColumnType.DECIMAL
        # Whole dollars as published, and ratios that are no ledger amounts.
        and column.name not in {"taxable_transactions_usd", "run_cost_usd", "fleet_run_cost_usd"}
    ]
    assert wrong == []


def test_people_are_known_by_hashes():
    raw = re.compile(r"recipient|visitor_email|(from|to)_number|^email$|^phone_number$")
    shown = [
        label(dataset, column)
        for dataset, column in columns()
        if raw.search(column.name)
        and not dataset.partition.startswith("external/scc/")  # companies, on public record
        and not column.name.endswith(("_hash", "_domain"))
    ]
    assert shown == []
    for _, column in columns():
        if column.name.endswith(("email_hash", "number_hash", "recipient_hash")):
            assert "SHA-256" in column.description


def test_names_in_the_notes_exist():
    catalog: Catalog = load_catalog()
    words = {"date", "total", "model", "Indefinite"}  # the partition column, and values
    unknown = [
        f"{dataset.partition}: {word}"
        for dataset in ALL
        for text in (dataset.notes, *(column.description for column in dataset.columns))
        for word in re.findall(r"`([^`]+)`", text)
        if word not in catalog
        and "=" not in word  # the name of a series
        and word not in {column.name for column in dataset.columns} | words
        and not word.startswith("_")  # endings of metric names
    ]
    assert unknown == []


def test_forecasts_carry_both_intervals_and_their_backtest():
    for name, bounds in {
        "request_volume_forecast": "lower_bound upper_bound lower_bound_95 upper_bound_95",
        "token_cost_forecast": (
            "lower_cost_usd upper_cost_usd lower_cost_95_usd upper_cost_95_usd"
        ),
    }.items():
        dataset = BY_PARTITION[f"derived/predictions/{name}"]
        point = dataset.column("predicted_requests" if "request" in name else "predicted_cost_usd")
        assert {dataset.column(bound).type for bound in bounds.split()} == {point.type}
        for column in ("mape", "mase", "backtest_windows", "is_fallback", "explanation"):
            assert column in {each.name for each in dataset.columns}
        assert dataset.key == ("series_key", "target_date")


WORKED_BY_HAND = [
    (
        "derived/intelligence_scores",
        "reliability_score",
        {"runs_succeeded": 18, "runs_failed": 2, "fleet_success_rate": 0.8},
        88.0,
    ),
    (
        "derived/intelligence_scores",
        "quality_score",
        {"ratings": 10, "rating_mean": 0.9, "quality_trend": 0.7},
        80.0,
    ),
    ("derived/intelligence_scores", "run_cost_usd", {"cost_usd": 3, "runs_succeeded": 12}, 0.25),
    (
        "derived/intelligence_scores",
        "cost_efficiency_score",
        {"fleet_run_cost_usd": 0.75, "run_cost_usd": 0.25},
        75.0,
    ),
    ("derived/intelligence_scores", "activity_score", {"runs": 7, "fleet_runs_p95": 63}, 50.0),
    ("derived/intelligence_scores", "activity_score", {"runs": 90, "fleet_runs_p95": 63}, 100.0),
    (
        "derived/velocity_metrics",
        "throughput_index",
        {"points_completed": 15, "usual_points": 12},
        125.0,
    ),
    (
        "derived/velocity_metrics",
        "lead_time_index",
        {"usual_lead_time_h": 36, "lead_time_median_h": 48},
        75.0,
    ),
    (
        "derived/velocity_metrics",
        "completion_rate",
        {"items_planned_completed": 9, "items_planned": 20},
        0.45,
    ),
    (
        "derived/velocity_metrics",
        "completion_index",
        {"completion_rate": 0.45, "sprint_elapsed": 0.5},
        90.0,
    ),
]


@pytest.mark.parametrize(
    ("partition", "score", "row", "expected"),
    WORKED_BY_HAND,
    ids=[f"{case[1]}={case[3]}" for case in WORKED_BY_HAND],
)
def test_a_documented_formula_runs_as_it_stands(
    partition: str, score: str, row: dict[str, float], expected: float
):
    dataset = BY_PARTITION[partition]
    assert {dataset.column(name).name for name in row} == set(row)
    assert evaluate(formulas(dataset.notes)[score], row) == pytest.approx(expected)


def test_every_documented_formula_is_worked_by_hand():
    documented = {(d.partition, name) for d in DERIVED for name in formulas(d.notes)}
    assert documented == {(case[0], case[1]) for case in WORKED_BY_HAND}


def test_every_score_has_a_weight_in_its_row():
    names = {column.name for column in BY_PARTITION["derived/intelligence_scores"].columns}
    parts = {n.removesuffix("_score") for n in names if n.endswith("_score")} - {"intelligence"}
    assert parts == {"quality", "reliability", "cost_efficiency", "activity"}
    assert {f"{part}_weight" for part in parts} <= names
