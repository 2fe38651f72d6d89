"""Which columns are empty unless another column says so.

Belongs here: one line per such column, as the datasets' own descriptions state it.
Does not belong here: values; nulls that fall by chance (`rules`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from lake_assets.catalog import Column
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.values import Mask

# partition → lines of "columns | other column | its words": the columns have values only where
# the other column holds one of the words, or is true where no word is given.
_LINES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "rlhf_signals": (
            "rating | signal_type | thumbs rating",
            "preferred_response_id rejected_response_id | signal_type | preference",
            "comment | signal_type | correction comment",
        ),
        "billing_events": ("amount_usd currency | event_type | purchase refund",),
        "platform/agent_tasks": (
            "started_at | status | running blocked completed failed",
            "completed_at | status | completed",
        ),
        "platform/agent_traces": ("model total_tokens | span_kind | llm",),
        "platform/developer_payouts": (
            "provider_payout_id initiated_at | status | processing paid failed",
            "paid_at | status | paid",
        ),
        "platform/multimodal_usage": (
            "resolution | modality | image video",
            "duration_s | modality | audio video",
        ),
        "platform/chat_completion_usage": ("time_to_first_token_ms | streamed |",),
        "platform/agent_swarm_sessions": (
            "started_at | status | running completed failed cancelled",
        ),
        "platform/audio_usage": ("voice input_chars | operation | speech",),
        "platform/zerodb_rlhf": ("rating | feedback_type | thumbs rating",),
        "platform/user_onboarding": (
            "time_in_step_ms | step_status | completed skipped abandoned",
        ),
        "platform/project_executions": (
            "exit_code | status | succeeded failed timed_out cancelled",
        ),
        "platform/live_streams": (
            "started_at peak_viewers total_viewers chat_messages | status | live ended",
            "ended_at duration_s recording_url | status | ended",
        ),
        "platform/notification_logs": (
            "sent_at | status | sent delivered opened bounced",
            "delivered_at | status | delivered opened",
            "opened_at | status | opened",
            "provider provider_message_id | channel | email sms push slack",
        ),
        "platform/sprint_plans": ("completed_at | status | done",),
        "business/crm/deals": (
            "closed_at | status | won lost",
            "lost_reason | status | lost",
        ),
        "business/voice/calls": (
            "answered_at sentiment recording_url | status | completed voicemail",
        ),
        "business/voice/sms": (
            "sent_at | direction | outbound",
            "delivered_at | status | delivered",
        ),
        "business/equity/grants": ("exercise_price currency | grant_type | iso nso rsa",),
        "business/equity/share_classes": ("original_issue_price | class_type | preferred",),
        "business/invoicing/invoices": (
            "issue_date due_date sent_at | status | sent partial paid overdue void",
            "paid_at | status | paid",
        ),
        "business/invoicing/payments": (
            "processor processor_payment_id fee | method | card",
            "received_at | status | succeeded refunded",
        ),
    }
)


def _read(
    lines: Mapping[str, tuple[str, ...]],
) -> Mapping[tuple[str, str], tuple[str, frozenset[str]]]:
    read: dict[tuple[str, str], tuple[str, frozenset[str]]] = {}
    for partition, conditions in lines.items():
        for condition in conditions:
            columns, other, words = (part.split() for part in condition.split("|"))
            for column in columns:
                read[partition, column] = (other[0], frozenset(words))
    return MappingProxyType(read)


CONDITIONS = _read(_LINES)


def is_conditional(frame: Frame, name: str) -> bool:
    """Whether another column decides if this one is empty."""
    condition = CONDITIONS.get((frame.table.partition, name))
    return condition is not None and frame.has(condition[0])


def left_out(frame: Frame, column: Column) -> Mask | None:
    """The rows in which a column is empty because of another one; None if none decides it."""
    if not is_conditional(frame, column.name):
        return None
    other, words = CONDITIONS[frame.table.partition, column.name]
    values = frame.values(other)
    return ~values.is_word(*words) if words else ~values.data
