"""The platform's core logs: agent runs, gateway requests, feedback, credits, the command line.

Belongs here: the datasets of the group "Core Platform" that are read from the platform database.
Does not belong here: members of that group that are collected from an outside API.
"""

from lake_assets.catalog import Dataset, event

_GROUP = "Core Platform"

DATASETS: tuple[Dataset, ...] = (
    event(
        "agent_run_log",
        "Daily agent execution logs; one row per run.",
        group=_GROUP,
        table="agent_run_logs",
        tasks="lake.export_agent_run_log",
        key="run_id",
        expect_rows=True,
        failures="status=failed|timed_out",
        notes=(
            "A run belongs to the day on which its row was created, even when it ends after "
            "midnight; a run that is still going has no `finished_at` and no `duration_ms`. "
            "Join `platform/agent_traces` and `platform/tool_execution_logs` on `run_id`."
        ),
        columns="""
            run_id         string!     One id per run.
            agent_id       string!
            agent_name     string
            trigger_type   string!     What started it. {schedule|manual|api|webhook|event|agent}
            status         string!     How it stands. {running|succeeded|failed|cancelled|timed_out}
            task_type      string      Kind of work done, such as code_review or research.
            model          string      Main model of the run, as its provider spells it.
            started_at     timestamp!
            finished_at    timestamp
            duration_ms    int64
            steps          int64       Reasoning steps that the agent took.
            tool_calls     int64       Tool calls during the run.
            total_tokens   int64       Tokens read and written over all model calls of the run.
            cost_usd       decimal     Cost of all model calls of the run, in US dollars.
            error_code     string
            error_message  string
            user_id        string      The user it ran for; null for the agent's own runs.
            org_id         string
            metadata       json
            created_at     timestamp!
        """,
    ),
    event(
        "mcp_request_logs",
        "API request logs from Kong; one row per request through the gateway.",
        group=_GROUP,
        table="mcp_request_logs",
        tasks="lake.export_mcp_request_logs lake.backfill_mcp_request_logs",
        key="request_id",
        expect_rows=True,
        notes=(
            "Filled by the gateway's http-log plugin, which sends in batches and may lose some: "
            "counts are a lower bound, and rows arrive a little after `started_at`. Join "
            "`platform/mcp_usage` on `request_id` for the credits of a tool call."
        ),
        columns="""
            request_id           string!     One id per gateway request.
            service              string      Kong service that took it; null when no route matched.
            route                string      Kong route that matched; null when none did.
            method               string!     HTTP method. {GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS}
            path                 string!     Path of the request, without the query string.
            status_code          int64!      HTTP status code sent to the client.
            latency_total_ms     int64       Whole time in the gateway and upstream, milliseconds.
            latency_kong_ms      int64       Time spent in Kong and its plugins, milliseconds.
            latency_upstream_ms  int64       Time spent upstream, milliseconds; null if not called.
            request_bytes        int64
            response_bytes       int64
            client_ip            string      Address of the client, IPv4 or IPv6.
            consumer_id          string      Kong consumer; null for anonymous requests.
            consumer_username    string      Name of that consumer.
            agent_id             string      The agent that called; null for people and services.
            mcp_server           string      MCP server behind the route; null for plain API routes.
            mcp_tool             string      MCP tool that was called; null for plain API routes.
            user_agent           string
            upstream_host        string      Host that Kong passed it to; null if none was called.
            workspace            string      Kong workspace.
            started_at           timestamp!  When the gateway received the request.
            created_at           timestamp!  When the row was stored.
        """,
    ),
    event(
        "rlhf_signals",
        "Reinforcement learning feedback; one row per signal.",
        group=_GROUP,
        table="rlhf_signals",
        tasks="lake.export_rlhf_signals",
        key="signal_id",
        notes=(
            "Which columns are filled depends on `signal_type`: a rating has `rating`, a "
            "preference has both response ids, a correction or comment has `comment`. Feedback "
            "often comes days after the run: join `agent_run_log` on `run_id` without `date`."
        ),
        columns="""
            signal_id              string!     One id per signal.
            agent_id               string      The agent that was judged; null for a bare model.
            run_id                 string
            session_id             string
            user_id                string      The person who judged; null for automatic signals.
            signal_type            string!     Kind. {thumbs|rating|preference|correction|comment}
            rating                 float64     1 (worst) to 5; thumbs are -1 or 1; else null.
            preferred_response_id  string      The better answer; null unless a preference.
            rejected_response_id   string      The worse answer; null unless a preference.
            comment                string
            model                  string
            source                 string!     Where given. {chat|api|cli|dashboard|evaluator}
            metadata               json
            created_at             timestamp!
        """,
    ),
    event(
        "billing_events",
        "Credit transactions and billing; one row per ledger entry.",
        group=_GROUP,
        table="billing_events",
        tasks="lake.export_billing_events",
        key="event_id",
        notes=(
            "An append-only ledger: a mistake is corrected by a further entry. Sum "
            "`credits_delta` for usage; never sum `credits_balance`, which is a running total."
        ),
        columns="""
            event_id         string!     One id per ledger entry.
            org_id           string!     The organisation whose credits move.
            user_id          string      The user who caused it; null for automatic entries.
            event_type       string!     Entry type. {purchase|usage|grant|refund|expiry|adjustment}
            credits_delta    decimal!    Credits added (positive) or taken (negative).
            credits_balance  decimal!    Credits of the organisation after this entry.
            amount_usd       decimal     Money of it in US dollars, refunds negative; null if none.
            currency         string      ISO 4217 code that was charged; null when no money moved.
            reference_type   string      Its cause. {request|invoice|subscription|promotion|support}
            reference_id     string      Id of that cause; null when there is none.
            description      string      The entry in words, as on the statement.
            metadata         json
            created_at       timestamp!
        """,
    ),
    event(
        "cli_telemetry",
        "Cody CLI usage telemetry; one row per command.",
        group=_GROUP,
        table="cli_telemetry",
        tasks="lake.export_cli_telemetry",
        key="event_id",
        failures="success=false",
        notes=(
            "Sent by the client, where it is allowed to: counts are a lower bound, and an "
            "offline machine sends late. Count `install_id` for machines, `user_id` for people."
        ),
        columns="""
            event_id         string!     One id per command run.
            install_id       string!     Random id of the installation on one machine.
            user_id          string      The signed-in user; null when nobody is.
            session_id       string      The terminal session; null when not known.
            command          string!     First word of the command, such as chat or deploy.
            subcommand       string      Second word of the command; null when there is none.
            cli_version      string!     Version of the CLI, such as 1.4.2.
            os               string!     Operating system. {linux|macos|windows}
            arch             string      Processor architecture. {x86_64|arm64}
            runtime_version  string      Version of the runtime that it ran on.
            duration_ms      int64       How long the command took, in milliseconds.
            exit_code        int64       Exit code of the process; 0 is success.
            success          bool!       Whether the command ended with exit code 0.
            error_code       string
            flags            json        Flags that were set, as an object of name to value.
            created_at       timestamp!
        """,
    ),
)
