"""What is known about single datasets beyond their columns: size, rhythm, relations.

Belongs here: optional hints, by partition. A dataset without one gets plausible rows all the same.
Does not belong here: how values of a column are made (`rules`, `special`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lake_assets.sample_data.world import (
    AUDIO_MODELS,
    HUB_MODELS,
    MEDIA_MODELS,
    TEXT_MODELS,
    Model,
)

_EVERY_DAY = frozenset(range(7))
_WORKDAYS = frozenset(range(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Hints for one dataset.

    `rows` is its size per day (of a snapshot: in all) as a part of `rows_per_day`. On other
    weekdays than `weekdays` it has no rows, unless a day without rows would be a fault.
    `relatives` says which dataset owns an id that several call theirs; an empty name: none does.
    Only rows of its main relative whose column `among` is neither null nor 0 get rows here; with
    `one_each`, each of them gets one, which takes over the columns of `carry` too. Rows of `grid`
    are combinations of those columns, each at most once a day.
    """

    rows: float = 0.1
    weekdays: frozenset[int] = _EVERY_DAY
    relatives: Mapping[str, str] = field(default_factory=dict[str, str])
    one_each: bool = False
    among: str = ""
    carry: frozenset[str] = frozenset()
    grid: tuple[str, ...] = ()
    models: tuple[Model, ...] = TEXT_MODELS


DEFAULT_PROFILE = Profile()

_NO_REQUEST: Mapping[str, str] = {"request_id": ""}
_NO_SESSION: Mapping[str, str] = {"session_id": ""}

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        # Core Platform
        "agent_run_log": Profile(rows=0.4),
        "mcp_request_logs": Profile(rows=1.0),
        "rlhf_signals": Profile(rows=0.1, relatives={"run_id": "agent_run_log", "session_id": ""}),
        "billing_events": Profile(rows=0.15),
        "cli_telemetry": Profile(rows=0.4, relatives=_NO_SESSION),
        # Platform Intelligence Layer
        "platform/ai_request_log": Profile(rows=1.0),
        "platform/llm_token_usage": Profile(
            rows=1.0,
            one_each=True,
            relatives={"request_id": "platform/ai_request_log"},
            carry=frozenset(
                {"prompt_tokens", "completion_tokens", "total_tokens", "cost_usd", "latency_ms"}
            ),
        ),
        "platform/agent_heartbeats": Profile(rows=0.3),
        "platform/agent_resource_usage": Profile(rows=0.2),
        "platform/billing_aggregations": Profile(grid=("org_id", "mcp_server")),
        "platform/agent_instances": Profile(rows=0.03),
        "platform/agent_tasks": Profile(rows=0.6),
        "platform/agent_traces": Profile(rows=1.0, relatives={"run_id": "agent_run_log"}),
        "platform/a2a_interactions": Profile(rows=0.2),
        "platform/developer_earnings": Profile(rows=0.03, relatives={"product_id": ""}),
        # Payouts go out twice a week; evidence is collected by people; streams need a host.
        "platform/developer_payouts": Profile(rows=0.01, weekdays=frozenset({1, 4})),
        "platform/dedicated_deployments": Profile(rows=0.01),
        "platform/multimodal_usage": Profile(rows=0.1, models=MEDIA_MODELS, relatives=_NO_REQUEST),
        "platform/mcp_usage": Profile(
            rows=0.5,
            relatives={"request_id": "mcp_request_logs"},
            among="mcp_server",
        ),
        "platform/soc2_evidence": Profile(rows=0.004, weekdays=_WORKDAYS),
        # Platform Extended
        "platform/chat_completion_usage": Profile(rows=0.4, relatives=_NO_SESSION),
        "platform/agent_swarm_sessions": Profile(rows=0.04),
        "platform/agent_swarm_messages": Profile(rows=0.3),
        "platform/agent_swarm_feedback": Profile(rows=0.02),
        "platform/audio_usage": Profile(rows=0.08, models=AUDIO_MODELS, relatives=_NO_REQUEST),
        "platform/ai_feedback": Profile(
            rows=0.06, relatives={"request_id": "platform/ai_request_log"}
        ),
        "platform/agent_audit_logs": Profile(rows=0.3),
        "platform/zerodb_rlhf": Profile(rows=0.06, relatives=_NO_SESSION),
        "platform/user_onboarding": Profile(rows=0.08),
        "platform/product_events": Profile(rows=0.7, relatives=_NO_SESSION),
        "platform/coding_sessions": Profile(rows=0.06),
        "platform/project_executions": Profile(
            rows=0.15, relatives={"session_id": "platform/coding_sessions"}
        ),
        "platform/video_views": Profile(rows=0.2, relatives=_NO_SESSION),
        "platform/live_streams": Profile(rows=0.006, weekdays=frozenset({2, 3, 5})),
        "platform/zeromemory_stats": Profile(grid=("project_id", "namespace")),
        "platform/huggingface_usage": Profile(rows=0.1, models=HUB_MODELS, relatives=_NO_REQUEST),
        "platform/tool_execution_logs": Profile(
            rows=0.7,
            relatives={"run_id": "agent_run_log", "session_id": ""},
        ),
        "platform/webhook_deliveries": Profile(rows=0.2),
        "platform/prompt_usage": Profile(rows=0.2),
        "platform/search_queries": Profile(rows=0.2, relatives=_NO_SESSION),
        "platform/agent_performance_metrics": Profile(grid=("agent_id", "metric")),
        "platform/agent_quality_trends": Profile(grid=("agent_id",)),
        "platform/notification_logs": Profile(rows=0.2),
        "platform/social_analytics": Profile(rows=0.05),
        "platform/sprint_plans": Profile(rows=0.1),
        "platform/swarm_quotas": Profile(grid=("org_id", "quota_type")),
        # Business App Exports
        "business/crm/deals": Profile(rows=0.2),
        "business/crm/activities": Profile(rows=0.1),
        "business/crm/pipeline": Profile(grid=("pipeline_id", "stage_name")),
        "business/commerce/orders": Profile(rows=0.15),
        "business/commerce/products": Profile(rows=0.1),
        "business/voice/calls": Profile(rows=0.08),
        "business/voice/sms": Profile(rows=0.1),
        "business/equity/stakeholders": Profile(rows=0.05),
        "business/equity/grants": Profile(rows=0.06),
        "business/equity/share_classes": Profile(grid=("company_id", "class_type")),
        "business/invoicing/invoices": Profile(rows=0.05),
        "business/invoicing/payments": Profile(one_each=True, among="amount_paid"),
        "external/dealroom/sessions": Profile(rows=0.02, weekdays=_WORKDAYS),
    }
)
