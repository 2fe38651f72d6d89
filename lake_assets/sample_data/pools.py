"""The things that a column chooses from, by the column's name.

Belongs here: which columns draw from a fixed set, and what is in it.
Does not belong here: how often each is drawn; sentences and documents (`texts`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from lake_assets.catalog import Column, ColumnType
from lake_assets.sample_data.world import (
    AGENT_IDS,
    AGENT_NAMES,
    AGENTS,
    HOSTS,
    MCP_SERVER_NAMES,
    MCP_TOOL_NAMES,
    ORG_IDS,
    PEOPLE,
    PROJECT_IDS,
    USER_IDS,
)

_POOL_SIZES: Mapping[str, int] = MappingProxyType(
    {
        "account": 12,
        "company": 8,
        "contact": 300,
        "control": 20,
        "customer": 400,
        "install": 150,
        "pipeline": 3,
        "prompt": 30,
        "room": 15,
        "sprint": 10,
        "store": 5,
        "swarm": 18,
        "video": 80,
        "webhook": 25,
    }
)

WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "action": ("run.start", "agent.update", "api_key.create", "agent.pause", "file.delete"),
        "actor_type": ("agent", "user", "system"),
        "agent_name": AGENT_NAMES,
        "agent_type": tuple(dict.fromkeys(agent.role for agent in AGENTS)),
        "app_version": ("5.12.0", "5.11.3", "5.11.2", "4.30.9"),
        "arch": ("arm64", "x86_64"),
        "assignee": PEOPLE[:20],
        "category": ("general", "accuracy", "speed", "tone", "billing", "other"),
        "channel": ("email", "push", "in_app", "sms", "slack"),
        "cli_version": ("1.4.2", "1.4.1", "1.3.9", "1.5.0-beta.1"),
        "collected_by": ("evidence-bot", *PEOPLE[:4]),
        "command": ("chat", "run", "deploy", "login", "init", "logs", "test"),
        "consumer_username": tuple(f"agent-{agent}" for agent in AGENT_IDS),
        "country": ("US", "DE", "GB", "IN", "JP", "BR", "EG", "IL", "FR", "CN"),
        "currency": ("USD", "EUR", "GBP", "JPY"),
        "device_type": ("desktop", "mobile", "tablet"),
        "disconnect_reason": ("caller_hangup", "callee_hangup", "timeout", "carrier_error"),
        "endpoint": ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/rerank"),
        "entrypoint": ("main.py", "src/index.ts", "app/run.py", "cmd/server/main.go"),
        "error_code": ("timeout", "rate_limited", "internal", "invalid_request", "unauthorized"),
        "event_name": ("page_viewed", "button_clicked", "agent_created", "run_started", "export"),
        "event_type": ("run.succeeded", "run.failed", "agent.created", "invoice.paid"),
        "failure_code": ("account_closed", "insufficient_funds", "invalid_account"),
        "feature": ("chat", "search", "code", "summaries", "voice"),
        "finish_reason": ("stop", "tool_calls", "length", "content_filter"),
        "funnel": ("signup", "first_agent", "billing"),
        "handle": ("@ainative", "@ainative_dev", "@ainative.jp", "@ainative_العربية"),
        "instance_type": ("m6i.large", "m6i.xlarge", "g5.xlarge", "n2-standard-8"),
        "language": ("python", "typescript", "go", "rust", "java", "sql"),
        "lost_reason": ("price", "no_budget", "competitor", "timing", ""),
        "mcp_server": MCP_SERVER_NAMES,
        "mcp_tool": MCP_TOOL_NAMES,
        "message_type": ("request", "response", "notification"),
        "method": ("GET", "POST", "PUT", "DELETE"),
        "metric": ("latency_ms", "success_rate", "tokens_per_run", "cost_per_run", "queue_wait_ms"),
        "namespace": ("default", "conversations", "documents", "préférences"),
        "operation": ("chat", "completion", "embedding", "rerank"),
        "os": ("macos", "linux", "windows"),
        "platform": ("web", "ios", "android"),
        "platform_name": ("x", "linkedin", "youtube", "mastodon"),
        "player": ("web", "ios", "android", "embed"),
        "processor": ("stripe", "adyen", "paypal"),
        "protocol": ("a2a", "mcp", "http"),
        "quality": ("1080p", "720p", "480p", "2160p"),
        "quota_type": ("sessions", "agents", "messages", "tokens"),
        "region": ("us-east-1", "eu-central-1", "ap-northeast-1", "me-south-1"),
        "relationship": ("employee", "investor", "founder", "advisor"),
        "resolution": ("1024x1024", "1792x1024", "1920x1080", "512x512"),
        "resource_type": ("agent", "api_key", "project", "dataset", "file"),
        "role": ("assistant", "user", "system", "tool"),
        "runtime_version": ("node 24.11.0", "node 22.21.1", "bun 1.3.2"),
        "sentiment": ("positive", "neutral", "negative"),
        "service": ("mcp", "api", "auth", "files"),
        "source": ("web", "api", "referral", "outbound", "partner"),
        "source_system": ("github", "aws", "okta", "datadog"),
        "span_name": ("plan", "call model", "call search_web", "retrieve", "answer", "hand off"),
        "stage_name": ("Lead", "Qualified", "Demo 🖥️", "Negotiation", "Won", "Lost"),
        "step": ("account", "verify_email", "create_project", "first_run", "invite"),
        "strategy": ("hierarchical", "parallel", "debate", "round_robin"),
        "subcommand": ("", "list", "create", "status", "rm"),
        "surface": ("docs", "dashboard", "marketplace", "cli"),
        "target_host": HOSTS,
        "task_type": ("research", "code_review", "support_reply", "report", "data_pull", "triage"),
        "template": ("run_failed", "weekly_digest", "invoice_ready", "quota_reached", "welcome"),
        "tool_name": MCP_TOOL_NAMES,
        "tool_type": ("mcp", "builtin", "http"),
        "trigger_type": ("schedule", "api", "event", "manual"),
        "unit": ("count", "ms", "tokens", "usd"),
        "upstream_host": ("mcp.internal", "api.internal", "files.internal"),
        "utm_campaign": ("", "spring-launch", "devday", "retargeting"),
        "version": ("2.3.1", "2.3.0", "2.2.7", "3.0.0-rc.1"),
        "voice": ("alloy", "nova", "echo", "shimmer"),
        "workspace": ("default", "partners"),
    }
)


def is_identity(name: str) -> bool:
    """Whether a text column names one thing by an id or a hash."""
    is_id = name.endswith(("_id", "_hash", "_sha256")) or name in {"id", "uuid", "sha256"}
    # A model's id is its name.
    return is_id and name != "model_id"


def prefix_of(name: str) -> str:
    """The short prefix of ids in a column: `run_id` → `run`, `share_class_id` → `sc`."""
    words = name.removesuffix("_id").split("_")
    return words[0][:3] if len(words) == 1 else "".join(word[0] for word in words)


def entity_pool(name: str) -> tuple[str, ...] | None:
    """The ids that an id column of the `world` or of a small set of things draws from."""
    for ids, stems in (
        (AGENT_IDS, ("agent_id",)),
        (USER_IDS, ("user_id", "developer_id", "owner_id", "visitor_id")),
        (ORG_IDS, ("org_id", "organization")),
        (PROJECT_IDS, ("project_id",)),
    ):
        if any(name == stem or name.endswith(f"_{stem}") for stem in stems):
            return ids
    size = _POOL_SIZES.get(name.removesuffix("_id")) if name.endswith("_id") else None
    if size is None:
        return None
    return tuple(f"{prefix_of(name)}_{index + 1:04d}" for index in range(size))


def pool_of(column: Column) -> tuple[str, ...] | None:
    """What a text column draws from: its declared values first; None if it has no fixed set."""
    if column.type is not ColumnType.STRING:
        return None
    return column.values or entity_pool(column.name) or WORDS.get(column.name)
