"""Columns whose words belong to one dataset, or follow from another column of the row.

Belongs here: such words, as plain data.
Does not belong here: anything that is computed (the modules beside this one).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.values import Values, coded

_OWN_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "business/commerce/orders": {"coupon_code": ("", "WELCOME10", "SOMMER25", "黒五")},
        "business/commerce/products": {
            "category": ("apparel", "books", "kitchen", "toys", "électronique"),
            "name": (
                "Agent mug",
                "Hoodie “Aurora”",
                "Sticker set 🦉",
                "Café crème",
                "ノート",
                "قميص",
            ),
        },
        "business/crm/activities": {"outcome": ("connected", "no_answer", "sent", "rescheduled")},
        "business/crm/deals": {
            "name": (
                "Renewal 2027",
                "Pilot — 50 seats",
                "Vega & Söhne: Ausbau",
                "新規契約",
                "Upsell",
            ),
        },
        "platform/dedicated_deployments": {
            "endpoint": ("https://acme.deploy.example", "https://sakura.deploy.example"),
            "name": ("production", "staging", "eu-only", "テスト環境"),
        },
        "platform/audio_usage": {"language": ("en", "de", "ja", "ar", "pt-BR", "")},
        "platform/huggingface_usage": {
            "model_task": ("feature-extraction", "text-generation", "text-ranking")
        },
        "platform/notification_logs": {"provider": ("sendgrid", "twilio", "fcm")},
        "platform/prompt_usage": {"prompt_version": ("3", "2.1", "2", "1")},
        "platform/soc2_evidence": {
            "control_name": ("Logical access", "Change management", "Backups", "Incident response"),
            "artifact_uri": (
                "s3://evidence.example/2026/access-review.pdf",
                "https://wiki.example/1",
            ),
        },
        "platform/sprint_plans": {
            "assignee": ("Aurora", "Zoë Müller", "José García", "李 山田", "")
        },
        "platform/user_onboarding": {"source": ("organic", "referral", "ads", "partner")},
    }
)

# partition → column → (other column, this column's word for each of its words)
_FOLLOWING: Mapping[str, Mapping[str, tuple[str, Mapping[str, str]]]] = MappingProxyType(
    {
        "business/commerce/orders": {
            "payment_status": (
                "status",
                {
                    "pending": "unpaid",
                    "processing": "authorized",
                    "completed": "paid",
                    "cancelled": "unpaid",
                    "refunded": "refunded",
                },
            ),
            "fulfillment_status": (
                "status",
                {
                    "pending": "unfulfilled",
                    "processing": "partial",
                    "completed": "fulfilled",
                    "cancelled": "unfulfilled",
                    "refunded": "fulfilled",
                },
            ),
        },
        "business/voice/sms": {
            "direction": (
                "status",
                {
                    "queued": "outbound",
                    "sent": "outbound",
                    "delivered": "outbound",
                    "failed": "outbound",
                    "received": "inbound",
                },
            )
        },
        "platform/agent_instances": {
            "agent_type": (
                "agent_name",
                {
                    "Aurora": "research",
                    "Sage": "support",
                    "Atlas": "developer",
                    "Ember": "monitoring",
                    "Quill ✍️": "writer",
                    "Nova": "sales",
                    "Orión": "analyst",
                    "Lyra 🎵": "media",
                    "Juno": "finance",
                    "Kestrel": "operations",
                    "Ônix": "security",
                    "微风 Zéphyr": "travel",
                },
            )
        },
        "platform/agent_resource_usage": {
            "unit": (
                "resource_type",
                {
                    "cpu": "vcpu_seconds",
                    "memory": "gb_seconds",
                    "gpu": "gpu_seconds",
                    "storage": "gb_hours",
                    "network_egress": "gb",
                },
            )
        },
        "platform/agent_traces": {
            "span_name": (
                "span_kind",
                {
                    "agent": "run",
                    "llm": "call model",
                    "tool": "call web_search",
                    "retrieval": "search memory",
                    "chain": "plan",
                    "handoff": "hand off",
                },
            )
        },
        "platform/multimodal_usage": {
            "unit": ("modality", {"image": "images", "audio": "seconds", "video": "seconds"})
        },
        "platform/swarm_quotas": {
            "unit": (
                "quota_type",
                {
                    "sessions": "count",
                    "agents": "count",
                    "messages": "count",
                    "tokens": "tokens",
                    "storage": "gb",
                },
            )
        },
    }
)


def _drawn_from(words: tuple[str, ...]) -> Callable[[Frame, Column], Values]:
    def make(frame: Frame, column: Column) -> Values:
        return frame.words(column.name, words)

    return make


def _following(other: str, mapping: Mapping[str, str]) -> Callable[[Frame, Column], Values]:
    words = tuple(dict.fromkeys(mapping.values()))

    def make(frame: Frame, _column: Column) -> Values:
        values = frame.values(other)
        places = [words.index(mapping[word]) if word in mapping else 0 for word in values.words]
        return coded(np.array(places)[values.data], words)

    return make


SPECIAL: Mapping[str, Mapping[str, Callable[[Frame, Column], Values]]] = MappingProxyType(
    {
        partition: {
            **{name: _drawn_from(words) for name, words in _OWN_WORDS.get(partition, {}).items()},
            **{
                name: _following(other, mapping)
                for name, (other, mapping) in _FOLLOWING.get(partition, {}).items()
            },
        }
        for partition in {**_OWN_WORDS, **_FOLLOWING}
    }
)
