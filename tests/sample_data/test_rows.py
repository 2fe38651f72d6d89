"""The rows of the sample, looked at in a real database."""

from datetime import timedelta

import pytest

from lake_assets.catalog import Catalog
from lake_assets.sample_data import PLANTED, SampleReport
from lake_assets.sample_data.tables import sample_tables
from tests.sample_data.conftest import LAST_DAY, SPEC, Ask


def test_every_table_of_the_catalogue_is_filled(report: SampleReport, catalog: Catalog):
    tables = sample_tables(catalog)
    assert len(tables) >= 55
    assert {table.partition for table in report.tables} == set(tables)
    assert [table.partition for table in report.tables if not table.rows] == []


def test_expected_rows_are_there_on_every_day(ask: Ask, catalog: Catalog):
    for table in sample_tables(catalog).values():
        if table.dataset.expect_rows and not table.is_snapshot:
            days = f"count(DISTINCT {table.dataset.watermark}::date)"
            counted = ask(f'SELECT {days} FROM "{table.source.table}"')
            assert counted == [(SPEC.days,)], table.partition


def test_rows_lie_within_the_days_of_the_sample(ask: Ask, catalog: Catalog):
    first = LAST_DAY - timedelta(days=SPEC.days - 1)
    for table in sample_tables(catalog).values():
        watermark = table.dataset.watermark
        ((low, high),) = ask(
            f"SELECT min({watermark})::date, max({watermark})::date "
            f'FROM "{table.source.schema}"."{table.source.table}"'
        )
        assert high <= LAST_DAY, table.partition
        assert table.is_snapshot or low >= first, table.partition


def test_some_small_datasets_have_empty_days(ask: Ask):
    tables = ("developer_payouts", "soc2_evidence", "live_streams")
    for table, watermark in zip(tables, ("updated_at", "created_at", "updated_at"), strict=True):
        ((days,),) = ask(f"SELECT count(DISTINCT {watermark}::date) FROM {table}")
        assert 0 < days < SPEC.days, table


def test_week_and_growth_show(ask: Ask):
    days = dict(ask("SELECT created_at::date, count(*) FROM ai_request_logs GROUP BY 1"))
    sundays = [rows for day, rows in days.items() if day.weekday() == 6]
    tuesdays = [rows for day, rows in sorted(days.items()) if day.weekday() == 1]
    assert max(sundays) < 0.6 * min(tuesdays)


def test_agents_keep_their_hours(ask: Ask):
    juno = ask(
        "SELECT extract(hour FROM created_at)::int, count(*) FROM agent_run_logs "
        "WHERE agent_id = 'juno' GROUP BY 1 ORDER BY 2 DESC LIMIT 3"
    )
    assert all(5 <= hour <= 11 for hour, _ in juno)


@pytest.mark.parametrize(
    ("child", "parent", "column"),
    [
        ("agent_traces", "agent_run_logs", "run_id"),
        ("tool_execution_logs", "agent_run_logs", "run_id"),
        ("rlhf_signals", "agent_run_logs", "run_id"),
        ("llm_token_usage", "ai_request_logs", "request_id"),
        ("ai_feedback", "ai_request_logs", "request_id"),
        ("mcp_usage_logs", "mcp_request_logs", "request_id"),
        ("agent_swarm_messages", "agent_swarm_sessions", "session_id"),
        ("agent_swarm_feedback", "agent_swarm_messages", "message_id"),
        ("project_executions", "coding_sessions", "session_id"),
        ("agent_heartbeat_executions", "agent_instances", "instance_id"),
        ("a2a_interactions", "agent_tasks", "task_id"),
        ("zeropipeline.deals", "zeropipeline.stages", "stage_id"),
        ("zeropipeline.activities", "zeropipeline.deals", "deal_id"),
        ("zeroinvoice.payments", "zeroinvoice.invoices", "invoice_id"),
        ("opencap.equity_grants", "opencap.stakeholders", "stakeholder_id"),
        ("opencap.equity_grants", "opencap.share_classes", "share_class_id"),
    ],
)
def test_joins_hold(ask: Ask, child: str, parent: str, column: str):
    ((filled, joined),) = ask(
        f"SELECT count(c.{column}), count(p.{column}) FROM {child} c "
        f"LEFT JOIN {parent} p USING ({column})"
    )
    assert filled > 0
    assert joined == filled


def test_joined_rows_agree(ask: Ask):
    assert ask(
        "SELECT count(*) FROM agent_traces t JOIN agent_run_logs r USING (run_id) "
        "WHERE t.agent_id <> r.agent_id OR t.started_at < r.started_at "
        "OR t.ended_at > r.finished_at"
    ) == [(0,)]
    assert ask(
        "SELECT count(*) FROM llm_token_usage u JOIN ai_request_logs r USING (request_id) "
        "WHERE u.model <> r.model OR u.total_tokens <> r.total_tokens OR u.cost_usd <> r.cost_usd"
    ) == [(0,)]
    assert ask(
        "SELECT count(*) FROM opencap.equity_grants g "
        "JOIN opencap.share_classes c USING (share_class_id) WHERE g.company_id <> c.company_id"
    ) == [(0,)]
    assert ask(
        "SELECT count(*) FROM agent_traces t LEFT JOIN agent_traces p "
        "ON p.trace_id = t.trace_id AND p.span_id = t.parent_span_id "
        "WHERE t.parent_span_id IS NOT NULL AND p.span_id IS NULL"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ("llm_token_usage", "total_tokens <> prompt_tokens + completion_tokens"),
        ("llm_token_usage", "cached_tokens > prompt_tokens"),
        ("llm_token_usage", "reasoning_tokens > completion_tokens"),
        ("chat_completion_usage", "total_tokens <> prompt_tokens + completion_tokens"),
        ("chat_completion_usage", "(time_to_first_token_ms IS NULL) = streamed"),
        ("agent_run_logs", "duration_ms * interval '1 ms' <> finished_at - started_at"),
        ("agent_run_logs", "(status = 'running') <> (finished_at IS NULL)"),
        ("agent_run_logs", "(status IN ('failed', 'timed_out')) <> (error_code IS NOT NULL)"),
        ("agent_run_logs", "started_at > created_at"),
        ("mcp_request_logs", "latency_total_ms <> latency_kong_ms + latency_upstream_ms"),
        ("cli_telemetry", "success <> (exit_code = 0)"),
        ("webhook_deliveries", "success <> (http_status BETWEEN 200 AND 299)"),
        ("developer_earnings", "net_usd <> gross_usd - platform_fee_usd"),
        ("search_queries", "zero_results <> (result_count = 0) OR clicked_rank > result_count"),
        ("swarm_quotas", "remaining_value <> round((limit_value - used_value)::numeric, 2)"),
        ("agent_swarm_messages", "content_chars <> length(content)"),
        ("notification_logs", "NOT created_at < sent_at OR NOT sent_at < delivered_at"),
        ("agent_performance_metrics", "window_end - window_start <> interval '1 hour'"),
        (
            "zerocommerce.orders",
            "total <> subtotal - discount_total + tax_total + shipping_total",
        ),
        (
            "zerocommerce.orders",
            "subtotal <> (SELECT sum((i->>'price')::numeric * (i->>'quantity')::numeric) "
            "FROM jsonb_array_elements(line_items) i)",
        ),
        ("zerocommerce.products", "cost >= price OR compare_at_price <= price"),
        ("zeroinvoice.invoices", "total <> subtotal + tax_total"),
        ("zeroinvoice.invoices", "amount_due <> total - amount_paid"),
        ("zeroinvoice.invoices", "(status = 'paid') <> (paid_at IS NOT NULL)"),
        ("zeroinvoice.invoices", "status = 'overdue' AND due_date > updated_at::date"),
        ("zeroinvoice.invoices", "due_date < issue_date"),
        ("zerovoice.calls", "duration_s <> extract(epoch FROM ended_at - answered_at)::bigint"),
        ("opencap.equity_grants", "NOT exercised_quantity <= vested_quantity"),
        ("opencap.equity_grants", "NOT vested_quantity <= quantity"),
        ("opencap.share_classes", "issued_shares > authorized_shares"),
        ("zeropipeline.deals", "(status = 'won') <> (stage_name = 'Won')"),
    ],
)
def test_rows_are_consistent(ask: Ask, table: str, wrong: str):
    assert ask(f"SELECT count(*), min(1) FROM {table} WHERE {wrong}") == [(0, None)]


@pytest.mark.parametrize(
    "table",
    [
        "developer_payouts",
        "agent_swarm_sessions",
        "coding_sessions",
        "live_streams",
        "zerocommerce.orders",
        "zeroinvoice.invoices",
    ],
)
def test_tables_windowed_by_change_were_created_before(ask: Ask, table: str):
    ((rows, wrong),) = ask(
        f"SELECT count(*), count(*) FILTER (WHERE created_at > updated_at) FROM {table}"
    )
    assert rows > 0
    assert wrong == 0


def test_sums_over_tables_come_out(ask: Ask):
    assert ask(
        "SELECT count(*) FROM zeroinvoice.invoices i LEFT JOIN "
        "(SELECT invoice_id, sum(amount) paid FROM zeroinvoice.payments GROUP BY 1) p "
        "USING (invoice_id) "
        "WHERE i.amount_paid <> coalesce(p.paid, 0)"
    ) == [(0,)]
    assert ask(
        "SELECT count(*) FROM zeropipeline.stages s WHERE (deals_open, deals_amount) <> "
        "(SELECT count(*), coalesce(sum(amount), 0) FROM zeropipeline.deals d "
        "WHERE d.stage_id = s.stage_id AND d.status = 'open')"
    ) == [(0,)]


def test_costs_follow_the_price_list(ask: Ask):
    ((rows, wrong),) = ask(
        "SELECT count(*), count(*) FILTER (WHERE cost_usd <> "
        "(prompt_tokens * 3 + completion_tokens * 15) / 1000000.0) "
        "FROM ai_request_logs WHERE model = 'claude-sonnet-4'"
    )
    assert rows > 0
    assert wrong == 0


def test_columns_hold_what_real_ones_do(ask: Ask):
    ((comments, empty, arabic, emoji, combining),) = ask(
        "SELECT count(*), count(*) FILTER (WHERE comment = ''), "
        "count(*) FILTER (WHERE comment ~ '[\u0600-\u06ff]'), "
        "count(*) FILTER (WHERE comment LIKE '%%👍🏽%%'), "
        "count(*) FILTER (WHERE comment LIKE '%%e\u0301%%') FROM ai_feedback"
    )
    assert min(comments, empty, arabic, emoji, combining) > 0
    assert ask("SELECT count(*) > 0 FROM ai_feedback WHERE comment IS NULL") == [(True,)]
    assert ask("SELECT max(storage_bytes) > 2::bigint^53 FROM zeromemory_stats") == [(True,)]
    assert ask(
        "SELECT bool_or(storage_bytes::double precision::numeric <> storage_bytes) "
        "FROM zeromemory_stats"
    ) == [(True,)]
    assert ask("SELECT max(scale(trim_scale(cost_usd))) FROM llm_token_usage") == [(6,)]
    assert ask("SELECT bool_or(metadata->'trace' ? 'depth') FROM agent_run_logs") == [(True,)]


def test_declared_values_are_kept(ask: Ask, catalog: Catalog):
    for table in sample_tables(catalog).values():
        for column in table.dataset.columns:
            if column.values:
                name = f'"{table.source.schema}"."{table.source.table}"'
                found = {word for (word,) in ask(f"SELECT DISTINCT {column.name} FROM {name}")}
                unknown = found - set(column.values) - {None}
                assert not unknown, f"{table.partition}.{column.name}: {unknown}"


def _by_day(ask: Ask, sql: str) -> list[float]:
    """One number per day, the last day of the sample first."""
    found = dict(ask(sql))
    days = (LAST_DAY - timedelta(days=ago) for ago in range(SPEC.days))
    return [float(found.get(day, 0)) for day in days]


def test_planted_events_are_all_looked_for():
    assert {event.name for event in PLANTED} == {
        "cost_spike",
        "error_burst",
        "latency_drift",
        "silent_agent",
        "token_leak",
        "retry_storm",
        "retry_storm_errors",
        "webhook_outage",
    }
    assert all(event.first_day_ago < 14 for event in PLANTED)


def test_planted_cost_spike(ask: Ask):
    cost = _by_day(
        ask,
        "SELECT created_at::date, avg(cost_usd) FROM llm_token_usage "
        "WHERE agent_id = 'aurora' GROUP BY 1",
    )
    assert cost[3] > 2.5 * max(cost[:3] + cost[4:])


def test_planted_error_burst(ask: Ask):
    errors = _by_day(
        ask,
        "SELECT created_at::date, avg((error_code IS NOT NULL)::int) FROM agent_run_logs "
        "WHERE agent_id = 'sage' GROUP BY 1",
    )
    assert errors[5] > 0.4
    assert max(errors[:5] + errors[6:]) < 0.25


def test_planted_latency_drift(ask: Ask):
    latency = _by_day(
        ask,
        "SELECT created_at::date, percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) "
        "FROM llm_token_usage WHERE model = 'claude-sonnet-4' GROUP BY 1",
    )
    assert 2.2 < latency[0] / latency[9] < 3.6
    assert 0.8 < latency[9] / latency[13] < 1.25


def test_planted_silent_agent(ask: Ask):
    runs = _by_day(
        ask,
        "SELECT created_at::date, count(*) FROM agent_run_logs WHERE agent_id = 'ember' GROUP BY 1",
    )
    assert [day for day, count in enumerate(runs) if count == 0] == [1, 2]


def test_planted_token_leak(ask: Ask):
    tokens = _by_day(
        ask,
        "SELECT created_at::date, percentile_cont(0.5) WITHIN GROUP (ORDER BY prompt_tokens) "
        "FROM llm_token_usage WHERE agent_id = 'quill' GROUP BY 1",
    )
    assert tokens[4] > tokens[5] > tokens[6] > tokens[7] > tokens[8] > tokens[9]
    assert tokens[4] > 4 * tokens[3]


def test_planted_retry_storm(ask: Ask):
    requests = _by_day(
        ask,
        "SELECT created_at::date, count(*) FROM mcp_request_logs "
        "WHERE agent_id = 'kestrel' GROUP BY 1",
    )
    assert requests[6] > 4 * max(requests[:6] + requests[7:])
    refused = _by_day(
        ask,
        "SELECT created_at::date, avg((status_code >= 400)::int) FROM mcp_request_logs "
        "WHERE agent_id = 'kestrel' GROUP BY 1",
    )
    assert refused[6] > 0.7
    assert max(refused[:6] + refused[7:]) < 0.3


def test_planted_webhook_outage(ask: Ask):
    failing = _by_day(
        ask,
        "SELECT created_at::date, avg((NOT success)::int) FROM webhook_deliveries "
        "WHERE target_host = 'hooks.northwind.example' GROUP BY 1",
    )
    assert failing[4] > 0.9
    assert max(failing[:4] + failing[5:]) < 0.5
