"""How agents work and what they use: calls, traces, tasks, metering, earnings, evidence.

Belongs here: the datasets of the group "Platform Intelligence Layer" that are read from the
platform database, agents first, then usage and money, then compliance.
Does not belong here: the gateway's own metrics, which are scraped and not exported.
"""

from lake_assets.catalog import Dataset, event, snapshot

_GROUP = "Platform Intelligence Layer"

_STATE = "The same rows repeat every day: filter on one `date`, or sums count each row once a day."

DATASETS: tuple[Dataset, ...] = (
    event(
        "platform/llm_token_usage",
        "LLM token consumption and costs; one row per call.",
        group=_GROUP,
        table="llm_token_usage",
        tasks="lake.export_llm_token_usage lake.backfill_llm_token_usage",
        key="id",
        expect_rows=True,
        failures="status=error|rate_limited|timeout",
        notes=(
            "The place to ask what models cost. `cached_tokens` are part of `prompt_tokens` and "
            "`reasoning_tokens` part of `completion_tokens`: don't add them to the total. One "
            "request may make several calls, so `request_id` repeats."
        ),
        columns="""
            id                 string!     One id per call of a model.
            request_id         string
            agent_id           string      The agent that called; null for direct API use.
            user_id            string
            org_id             string
            provider           string!
            model              string!
            operation          string!     Call type. {chat|completion|embedding|rerank|moderation}
            prompt_tokens      int64!
            completion_tokens  int64!
            cached_tokens      int64       Prompt tokens from a cache; null if not told.
            reasoning_tokens   int64       Completion tokens spent on reasoning; null if not told.
            total_tokens       int64!
            cost_usd           decimal!
            latency_ms         int64
            status             string!     How the call ended. {success|error|rate_limited|timeout}
            created_at         timestamp!
        """,
    ),
    event(
        "platform/agent_heartbeats",
        "Agent heartbeat executions; one row per heartbeat.",
        group=_GROUP,
        table="agent_heartbeat_executions",
        tasks="lake.export_agent_heartbeat_executions",
        key="execution_id",
        failures="status=failed|timed_out",
        notes=(
            "A heartbeat wakes an agent on its schedule to look for work; most find none and take "
            "no action. An instance without rows was not woken at all."
        ),
        columns="""
            execution_id   string!     One id per heartbeat.
            agent_id       string!
            instance_id    string      The instance woken, as in `platform/agent_instances`.
            schedule       string      Cron expression that woke it; null when woken by hand.
            status         string!     How it stands. {running|succeeded|failed|skipped|timed_out}
            started_at     timestamp!
            finished_at    timestamp
            duration_ms    int64
            actions_taken  int64       Actions that the agent took; 0 when it found nothing to do.
            tokens_used    int64       Tokens read and written during the heartbeat.
            cost_usd       decimal     Cost of its model calls, in US dollars.
            error_message  string
            result         json        What the agent reported, as a JSON object; null when nothing.
            created_at     timestamp!
        """,
    ),
    event(
        "platform/agent_resource_usage",
        "Agent cloud resource metering; one row per meter reading.",
        group=_GROUP,
        table="agent_resource_usage",
        tasks="lake.export_agent_resource_usage",
        key="id",
        notes=(
            "Each reading covers its own window, so quantities of one `resource_type` and `unit` "
            "may be summed; never sum across units."
        ),
        columns="""
            id             string!     One id per meter reading.
            agent_id       string!
            instance_id    string      The instance, as in `platform/agent_instances`.
            org_id         string
            resource_type  string!     What is metered. {cpu|memory|gpu|storage|network_egress}
            provider       string!     Cloud provider, such as aws, gcp or railway.
            region         string
            quantity       float64!    Amount used within the window, in `unit`.
            unit           string!     Unit of it. {vcpu_seconds|gb_seconds|gpu_seconds|gb_hours|gb}
            cost_usd       decimal!
            window_start   timestamp!
            window_end     timestamp!
            created_at     timestamp!
        """,
    ),
    event(
        "platform/billing_aggregations",
        "MCP billing aggregations; one row per organisation, user, server and period.",
        group=_GROUP,
        table="mcp_billing_aggregations",
        tasks="lake.export_mcp_billing_aggregations",
        key="id",
        notes=(
            "Written after a period has closed, so `date` is later than the period it bills: "
            "filter on `period_start` for usage. Single tool calls are in `platform/mcp_usage`."
        ),
        columns="""
            id             string!     One id per aggregation.
            org_id         string!
            user_id        string      The user; null when billed to the organisation as a whole.
            mcp_server     string!
            period_start   timestamp!  Start of the billed period, inclusive.
            period_end     timestamp!  End of the billed period, exclusive.
            request_count  int64!      Requests to the server within the period.
            credits_used   decimal!    Credits charged for them.
            amount_usd     decimal!    The same in US dollars.
            invoiced       bool!       Whether it was on an invoice when the row was exported.
            created_at     timestamp!
        """,
    ),
    snapshot(
        "platform/agent_instances",
        "Agent instance registry; one row per instance as of that day.",
        group=_GROUP,
        table="agent_instances",
        tasks="lake.export_agent_instances",
        key="instance_id",
        expect_rows=True,
        notes=f"{_STATE} An agent may run as several instances.",
        columns="""
            instance_id        string!     One id per instance.
            agent_id           string!
            agent_name         string!
            org_id             string
            owner_user_id      string      The user who owns it; null for the platform's own agents.
            agent_type         string      Role of the agent, such as developer, support or analyst.
            model              string      Model it is set to use; null when it may choose.
            status             string!     State. {provisioning|active|idle|paused|error|terminated}
            version            string      Version of the agent's code, such as 2.3.1.
            region             string
            deployment_type    string      Where it runs. {shared|dedicated|self_hosted}
            last_heartbeat_at  timestamp   When it last gave a sign of life; null if never.
            config             json        Settings of the instance as a JSON object.
            created_at         timestamp!
            updated_at         timestamp!
        """,
    ),
    snapshot(
        "platform/agent_tasks",
        "Agent task queue; full queue state as of that day.",
        group=_GROUP,
        table="agent_tasks",
        tasks="lake.export_agent_tasks",
        key="task_id",
        notes=f"{_STATE} Compare two days to see what moved.",
        columns="""
            task_id         string!     One id per task.
            agent_id        string      The agent it is assigned to; null until one takes it.
            parent_task_id  string      The task it was split from; null for top-level tasks.
            org_id          string
            title           string!     Short title in plain words.
            task_type       string      Kind of work, such as code_review or research.
            priority        int64!      Urgency from 0 (lowest) to 10 (highest).
            status          string!     State. {queued|running|blocked|completed|failed|cancelled}
            attempts        int64!      How often it was started so far.
            scheduled_at    timestamp   Not to start before; null when it may start at once.
            started_at      timestamp   When it was last started; null while never started.
            completed_at    timestamp   When it was completed; null unless it was.
            due_at          timestamp   Deadline; null when there is none.
            error_message   string
            payload         json        Input of the task as a JSON object.
            created_at      timestamp!
            updated_at      timestamp!
        """,
    ),
    snapshot(
        "platform/agent_workload",
        "Agent workload distribution; one row per agent as of that day.",
        group=_GROUP,
        table="agent_workload",
        tasks="lake.export_agent_workload",
        key="agent_id",
        expect_rows=True,
        notes="The `*_24h` columns look back from `updated_at`, not over the calendar day.",
        columns="""
            agent_id             string!
            org_id               string
            queued_tasks         int64!      Tasks waiting for the agent.
            running_tasks        int64!      Tasks it is working on.
            completed_tasks_24h  int64!      Tasks completed within the last 24 hours.
            failed_tasks_24h     int64!      Tasks failed within the last 24 hours.
            avg_wait_ms          float64     Mean wait for a start in ms; null without tasks.
            avg_duration_ms      float64     Mean time of work in ms; null without tasks.
            utilization          float64     `running_tasks` over `capacity`, 0 to 1.
            capacity             int64!      Tasks that it may work on at the same time.
            updated_at           timestamp!  When these numbers were computed.
        """,
    ),
    event(
        "platform/agent_traces",
        "Agent execution traces; one row per span.",
        group=_GROUP,
        table="agent_traces",
        tasks="lake.export_agent_traces",
        key="trace_id span_id",
        failures="status=error",
        notes=(
            "Spans nest by `parent_span_id` within a `trace_id`, so durations of a parent contain "
            "those of its children: filter on one `span_kind` before you sum."
        ),
        columns="""
            trace_id        string!     The trace; all spans of one piece of work share it.
            span_id         string!     Id of the span within its trace.
            parent_span_id  string      The span around it; null for the root.
            run_id          string
            agent_id        string!
            span_name       string!     What was done, such as plan or call search_web.
            span_kind       string!     Kind of work. {agent|llm|tool|retrieval|chain|handoff}
            status          string!     Outcome, as in OpenTelemetry. {unset|ok|error}
            started_at      timestamp!
            ended_at        timestamp
            duration_ms     int64
            model           string      Model of an llm span; null for other kinds.
            total_tokens    int64       Tokens of an llm span; null for other kinds.
            attributes      json        Further attributes of the span as a JSON object.
            created_at      timestamp!
        """,
    ),
    event(
        "platform/a2a_interactions",
        "Agent-to-agent communications; one row per message.",
        group=_GROUP,
        table="a2a_interactions",
        tasks="lake.export_a2a_interactions",
        key="interaction_id",
        failures="status=failed|timeout|rejected",
        notes="Group by `conversation_id` for whole exchanges; a reply is a row of its own.",
        columns="""
            interaction_id   string!     One id per message.
            conversation_id  string      The exchange it belongs to; null for single messages.
            source_agent_id  string!     The agent that sent it.
            target_agent_id  string!     The agent that it was sent to.
            protocol         string!     How it was sent. {a2a|mcp|http}
            message_type     string!     Message type. {request|response|notification|handoff|error}
            task_id          string      The task it is about, as in `platform/agent_tasks`.
            status           string!     What became of it. {delivered|failed|timeout|rejected}
            latency_ms       int64       Milliseconds until acknowledged; null if never.
            request_bytes    int64
            response_bytes   int64
            error_message    string
            payload          json        Body of the message as JSON; null when it was not kept.
            created_at       timestamp!
        """,
    ),
    event(
        "platform/developer_earnings",
        "Echo developer earnings; one row per earning entry.",
        group=_GROUP,
        table="developer_earnings",
        tasks="lake.export_developer_earnings",
        key="earning_id",
        notes="`net_usd` is `gross_usd` less `platform_fee_usd`; reversals have negative amounts.",
        columns="""
            earning_id        string!     One id per entry.
            developer_id      string!     The developer who earns it.
            product_id        string!     The product it was earned with.
            product_type      string!     Product type. {mcp_server|agent|plugin|template|dataset}
            source_event_id   string      Id of the sale or use that earned it; null if unknown.
            gross_usd         decimal!    What the customer paid, in US dollars.
            platform_fee_usd  decimal!    What the platform keeps of it, in US dollars.
            net_usd           decimal!    What the developer gets, in US dollars.
            currency          string      ISO 4217 code of the developer's payouts.
            status            string!     State of the entry. {pending|available|paid|reversed}
            period_start      date!       First day that it was earned for.
            period_end        date!       Last day that it was earned for, inclusive.
            created_at        timestamp!
        """,
    ),
    event(
        "platform/developer_payouts",
        "Echo developer payouts; windowed by updated_at because status changes after creation.",
        group=_GROUP,
        table="developer_payouts",
        tasks="lake.export_developer_payouts",
        key="payout_id",
        watermark="updated_at",
        notes=(
            "A payout appears again on each day on which it changed: take the latest `updated_at` "
            "per `payout_id` for its current state, or sums count it more than once."
        ),
        columns="""
            payout_id           string!     One id per payout.
            developer_id        string!     The developer who is paid.
            amount_usd          decimal!    Amount in US dollars.
            currency            string      ISO 4217 code that was paid out.
            method              string!     How it is paid. {bank_transfer|stripe|paypal|wise}
            provider_payout_id  string      Id at the payment provider; null until it was sent.
            status              string!     State. {pending|processing|paid|failed|cancelled}
            failure_code        string      Provider's code of the failure; null unless failed.
            initiated_at        timestamp   When it was sent to the provider; null before.
            paid_at             timestamp   When the money arrived; null until then.
            created_at          timestamp!
            updated_at          timestamp!
        """,
    ),
    snapshot(
        "platform/dedicated_deployments",
        "Dedicated deployment snapshots; one row per deployment as of that day.",
        group=_GROUP,
        table="dedicated_deployments",
        tasks="lake.export_dedicated_deployments",
        key="deployment_id",
        notes=_STATE,
        columns="""
            deployment_id     string!     One id per deployment.
            org_id            string!     The organisation that it is dedicated to.
            name              string!     Name that the customer gave it.
            plan              string!     Plan it is billed by. {starter|team|business|enterprise}
            status            string!     State. {provisioning|running|degraded|stopped|terminated}
            region            string
            provider          string!     Cloud provider, such as aws, gcp or railway.
            instance_type     string      Size of its machines in the provider's words.
            replicas          int64!      Machines that it should have.
            version           string      Version of the platform it runs.
            monthly_cost_usd  decimal     Price per full month, in US dollars.
            endpoint          string      Base URL of its API; null until it is provisioned.
            config            json        Settings of the deployment as a JSON object.
            created_at        timestamp!
            updated_at        timestamp!
        """,
    ),
    event(
        "platform/multimodal_usage",
        "Image/audio/video API usage; one row per call.",
        group=_GROUP,
        table="multimodal_usage",
        tasks="lake.export_multimodal_usage",
        key="id",
        failures="status=error|rate_limited|timeout",
        notes=(
            "`unit` differs by modality: group by it before you sum units. An audio call "
            "may also be in `platform/audio_usage`, by the same `request_id`: don't add the two."
        ),
        columns="""
            id            string!     One id per call.
            request_id    string
            user_id       string
            org_id        string
            agent_id      string      The agent that called; null for direct API use.
            modality      string!     What is made or read. {image|audio|video}
            operation     string!     What was asked for. {generate|edit|analyze|transcribe|upscale}
            provider      string!
            model         string!
            input_units   float64     Amount read, in `unit`.
            output_units  float64     Amount made, in `unit`; null when nothing was made.
            unit          string!     Unit of both amounts. {images|seconds|tokens|characters}
            resolution    string      Width x height in pixels, such as 1024x1024; null for audio.
            duration_s    float64     Length of the audio or video in seconds; null for images.
            cost_usd      decimal!
            latency_ms    int64
            status        string!     How the call ended. {success|error|rate_limited|timeout}
            created_at    timestamp!
        """,
    ),
    event(
        "platform/mcp_usage",
        "MCP tool usage logs; one row per tool call.",
        group=_GROUP,
        table="mcp_usage_logs",
        tasks="lake.export_mcp_usage_logs",
        key="id",
        failures="status=error|rate_limited|timeout",
        notes=(
            "What is charged for. Join `mcp_request_logs` on `request_id` for the HTTP side; "
            "`platform/tool_execution_logs` has every tool of a run, not only MCP."
        ),
        columns="""
            id               string!     One id per tool call.
            request_id       string
            org_id           string
            user_id          string
            agent_id         string      The agent that called; null for direct API use.
            mcp_server       string!
            tool_name        string!
            status           string!     How the call ended. {success|error|rate_limited|timeout}
            latency_ms       int64
            input_bytes      int64
            output_bytes     int64
            credits_charged  decimal!    Credits taken for the call; 0 when it was free.
            error_code       string
            created_at       timestamp!
        """,
    ),
    event(
        "platform/soc2_evidence",
        "SOC2 compliance evidence; one row per evidence item.",
        group=_GROUP,
        table="soc2_evidence",
        tasks="lake.export_soc2_evidence",
        key="evidence_id",
        notes="The artifact itself is not in the lake: `artifact_sha256` proves which one it was.",
        columns="""
            evidence_id      string!     One id per item.
            control_id       string!     The control it supports, such as CC6.1.
            control_name     string!     Name of that control.
            category         string!     Trust services category, such as security or privacy.
            evidence_type    string!     Form. {screenshot|log_export|configuration|report|policy}
            source_system    string!     System that it was taken from, such as github or aws.
            status           string!     State of its review. {collected|approved|rejected|expired}
            collected_by     string      Person or job that collected it.
            collected_at     timestamp!  When it was collected.
            period_start     date        First day that it covers.
            period_end       date        Last day that it covers, inclusive.
            artifact_uri     string      Where the artifact is kept; null for written statements.
            artifact_sha256  string      SHA-256 of the artifact in hex; null without one.
            notes            string      Remarks of the reviewer; null when none.
            created_at       timestamp!
        """,
    ),
)
