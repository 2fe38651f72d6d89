"""Agents beyond their runs: swarms, tools, audit, performance and quality over time.

Belongs here: the datasets of the group "Platform Extended" that are about what agents did or how
well they did it.
Does not belong here: calls of models (`platform_extended_models`), what people do in the product
(`platform_extended_product`), runs and traces (`core_platform`, `platform_intelligence`).
"""

from lake_assets.catalog import Dataset, event, snapshot

_GROUP = "Platform Extended"

DATASETS: tuple[Dataset, ...] = (
    event(
        "platform/agent_swarm_sessions",
        "Agent swarm session data; windowed by updated_at because a session ends later than it "
        "starts.",
        group=_GROUP,
        table="agent_swarm_sessions",
        tasks="lake.export_agent_swarm_sessions",
        key="session_id",
        watermark="updated_at",
        proposed=True,
        notes=(
            "A session appears again on each day on which it changed: take the latest "
            "`updated_at` per `session_id`, or sums count it more than once."
        ),
        columns="""
            session_id     string!     One id per swarm session.
            swarm_id       string!     The swarm, which may hold many sessions.
            org_id         string
            user_id        string      The user who started it; null when an agent did.
            name           string      Title of the session; null when it was given none.
            strategy       string!     How work is shared. {parallel|sequential|hierarchical|debate}
            status         string!     How it stands. {pending|running|completed|failed|cancelled}
            agent_count    int64!      Agents that take part.
            message_count  int64!      Messages between them so far.
            total_tokens   int64       Tokens read and written by all of them so far.
            cost_usd       decimal     Cost of their model calls so far, in US dollars.
            started_at     timestamp   When the agents began; null while pending.
            ended_at       timestamp
            duration_ms    int64
            config         json        Settings of the session as a JSON object.
            created_at     timestamp!
            updated_at     timestamp!
        """,
    ),
    event(
        "platform/agent_swarm_messages",
        "Agent swarm messages; one row per message.",
        group=_GROUP,
        table="agent_swarm_messages",
        tasks="lake.export_agent_swarm_messages",
        key="message_id",
        proposed=True,
        notes="Select `content` only where you need it: it is most of the bytes.",
        columns="""
            message_id           string!     One id per message.
            session_id           string!     The session, as in `platform/agent_swarm_sessions`.
            sender_agent_id      string      The agent that wrote it; null for people.
            recipient_agent_id   string      The agent it is for; null when for all.
            role                 string!     Role of its author. {system|user|assistant|tool}
            message_type         string!     Message type. {plan|task|result|question|critique|vote}
            content_chars        int64!      Length of `content` in characters.
            total_tokens         int64       Tokens that it took to write; null for people.
            reply_to_message_id  string      The message it answers; null when it answers none.
            content              string      Text of the message; null when it was not kept.
            metadata             json
            created_at           timestamp!
        """,
    ),
    event(
        "platform/agent_swarm_feedback",
        "Agent swarm feedback; one row per judgement.",
        group=_GROUP,
        table="agent_swarm_feedback",
        tasks="lake.export_agent_swarm_feedback",
        key="feedback_id",
        proposed=True,
        notes="About a whole session, one agent in it or one message: the ids tell which.",
        columns="""
            feedback_id  string!     One id per judgement.
            session_id   string!     The session, as in `platform/agent_swarm_sessions`.
            message_id   string      The message judged; null when it is about more.
            agent_id     string      The agent judged; null when it is about all of them.
            user_id      string      The person who judged; null for automatic ones.
            rating       float64     1 (worst) to 5; null when none was given.
            sentiment    string      Tone of the comment. {positive|neutral|negative}
            category     string      What it is about, such as accuracy or speed.
            comment      string
            created_at   timestamp!
        """,
    ),
    snapshot(
        "platform/swarm_quotas",
        "Swarm quota snapshots; one row per org/quota as of that day.",
        group=_GROUP,
        table="swarm_quotas",
        tasks="lake.export_swarm_quotas",
        key="quota_id",
        proposed=True,
        notes="The same rows repeat every day: filter on one `date`, or compare days.",
        columns="""
            quota_id         string!     One id per organisation and quota.
            org_id           string!
            plan             string!     Plan that sets it. {free|starter|team|business|enterprise}
            quota_type       string!     What is limited. {sessions|agents|messages|tokens|storage}
            limit_value      float64     Limit in `unit`; null when there is none.
            used_value       float64!    Used since the last reset, in `unit`.
            remaining_value  float64     Limit less used, in `unit`; null without a limit.
            unit             string!     Unit of the three values. {count|tokens|gb}
            reset_at         timestamp   When `used_value` returns to 0; null when never.
            updated_at       timestamp!
        """,
    ),
    event(
        "platform/agent_audit_logs",
        "Agent audit logs; append-only, one row per action on a resource.",
        group=_GROUP,
        table="agent_audit_logs",
        tasks="lake.export_agent_audit_logs lake.backfill_agent_audit_logs",
        key="audit_id",
        proposed=True,
        notes="Who did what to which resource, refused attempts included.",
        columns="""
            audit_id       string!     One id per entry.
            agent_id       string      The agent concerned; null when none is.
            actor_type     string!     Who acted. {agent|user|service|system}
            actor_id       string!     Id of that agent, user or service.
            org_id         string
            action         string!     What was done, as resource.verb, such as agent.pause.
            resource_type  string!     Kind of resource it was done to, such as agent or api_key.
            resource_id    string      Id of that resource; null when it is not a single one.
            outcome        string!     How it ended. {success|denied|failure}
            ip_address     string      Address of the actor, IPv4 or IPv6; null for internal ones.
            user_agent     string
            before_state   json        Fields before the change; null when nothing was there.
            after_state    json        Fields after the change; null when nothing is left.
            created_at     timestamp!
        """,
    ),
    event(
        "platform/tool_execution_logs",
        "Tool execution logs; one row per execution of a tool by an agent.",
        group=_GROUP,
        table="tool_execution_logs",
        tasks="lake.export_tool_execution_logs",
        key="id",
        failures="status=error|timeout",
        proposed=True,
        notes="Every tool of a run; what MCP tools are charged for is in `platform/mcp_usage`.",
        columns="""
            id             string!     One id per execution.
            tool_name      string!
            tool_type      string!     Kind of tool. {mcp|function|http|shell|browser|retrieval}
            agent_id       string      The agent that used it; null for direct API use.
            run_id         string
            session_id     string
            status         string!     How it ended. {success|error|timeout|cancelled}
            duration_ms    int64       How long it took, in milliseconds, retries included.
            input_bytes    int64
            output_bytes   int64
            retry_count    int64!      Tries after the first; 0 when the first one was enough.
            error_code     string
            error_message  string
            arguments      json        What the tool was called with, as a JSON object.
            created_at     timestamp!
        """,
    ),
    event(
        "platform/agent_performance_metrics",
        "Agent performance metrics; one row per agent/metric/window.",
        group=_GROUP,
        table="agent_performance_metrics",
        tasks="lake.export_agent_performance_metrics",
        key="id",
        proposed=True,
        notes=(
            "Metrics have different units: filter on one `metric`. Percentiles of windows can't "
            "be averaged into a percentile of a day; weight means by `sample_count`."
        ),
        columns="""
            id            string!     One id per agent, metric and window.
            agent_id      string!
            metric        string!     Name of the metric, such as latency_ms or success_rate.
            metric_value  float64!    Mean over the window, in `unit`.
            unit          string!     Unit of the values. {ms|ratio|count|tokens|usd}
            window_start  timestamp!
            window_end    timestamp!
            sample_count  int64!      Measurements within the window.
            p50           float64     Median of them; null for counts and ratios.
            p95           float64     95th percentile of them; null for counts and ratios.
            p99           float64     99th percentile of them; null for counts and ratios.
            created_at    timestamp!
        """,
    ),
    event(
        "platform/agent_quality_trends",
        "Agent quality trend data; one row per agent per day.",
        group=_GROUP,
        table="agent_quality_trends",
        tasks="lake.export_agent_quality_trends",
        key="id",
        proposed=True,
        notes=(
            "`trend_date` is the day judged; `date` is the day on which the row was written, "
            "usually the next."
        ),
        columns="""
            id             string!     One id per agent and day.
            agent_id       string!
            trend_date     date!       The UTC day that the scores are about.
            quality_score  float64!    Overall quality, 0 to 1.
            accuracy       float64     Share of answers judged right, 0 to 1; null if not judged.
            helpfulness    float64     How helpful answers were judged, 0 to 1; null if not judged.
            safety         float64     Share of answers without a safety fault, 0 to 1.
            success_rate   float64     Share of runs that succeeded, 0 to 1; null without runs.
            avg_rating     float64     Mean rating by people, 1 to 5; null without ratings.
            sample_count   int64!      Answers that were judged.
            delta_7d       float64     `quality_score` less that of 7 days before; null if none.
            created_at     timestamp!
        """,
    ),
)
