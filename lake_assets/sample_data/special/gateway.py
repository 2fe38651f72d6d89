"""Requests through the gateway, tool calls, webhooks and the ledger.

Belongs here: special columns of `mcp_request_logs`, `platform/mcp_usage`,
`platform/webhook_deliveries`, `billing_events` and the ratings of signals.
Does not belong here: what holds for columns of any dataset (`rules`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import actors, course
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.pools import is_identity
from lake_assets.sample_data.rhythm import falling_weights
from lake_assets.sample_data.rules import identity, money, words
from lake_assets.sample_data.values import MICRO, Ints, Values, coded, plain
from lake_assets.sample_data.world import AGENT_IDS, MCP_SERVERS

_TOOLS = tuple((server, tool) for server, tools in MCP_SERVERS for tool in tools)
_PLAIN_PATHS = ("/v1/chat/completions", "/v1/agents", "/v1/files/größe.txt", "/healthz", "/v1/runs")
_PLAIN_SHARE = 0.25


def _tool(frame: Frame) -> Ints:
    """The tool that a request calls; beyond the last one, a plain API path."""
    return frame.memo("gateway target", _draw_tool)


def _draw_tool(frame: Frame) -> Ints:
    tool = frame.choose("tool", falling_weights(len(_TOOLS)))
    path = frame.choose("path", falling_weights(len(_PLAIN_PATHS)))
    return np.where(frame.chance("plain", _PLAIN_SHARE), len(_TOOLS) + path, tool)


def _by_target(
    of_tools: tuple[str, ...], of_paths: tuple[str, ...]
) -> Callable[[Frame, Column], Values]:
    def make(frame: Frame, _column: Column) -> Values:
        if of_paths:
            return coded(_tool(frame), of_tools + of_paths)
        is_plain = _tool(frame) >= len(_TOOLS)
        return coded(np.where(is_plain, 0, _tool(frame)), of_tools, is_plain)

    return make


def _consumer(frame: Frame, _column: Column) -> Values:
    agent = frame.values("agent_id")
    return coded(agent.data, tuple(f"agent-{name}" for name in AGENT_IDS), agent.null)


def _tool_of_request(frame: Frame, column: Column) -> Values:
    relative = frame.relative()
    if relative is None or not relative[0].has("mcp_tool"):
        return frame.words(column.name, tuple(tool for _, tool in _TOOLS))
    return relative[0].values("mcp_tool").take(relative[1])


def _delivery(frame: Frame, column: Column) -> Values:
    return identity.own_key(frame, column).take(course.attempts(frame).first)


def _of_first_attempt(frame: Frame, column: Column) -> Values:
    """What all attempts of a delivery share."""
    make = identity.identity if is_identity(column.name) else words.words
    return make(frame, column).take(course.attempts(frame).first)


def _attempt(frame: Frame, _column: Column) -> Values:
    return plain(course.attempts(frame).number)


def _next_retry(frame: Frame, _column: Column) -> Values:
    wait = 60 * MICRO * (2 ** course.attempts(frame).number)
    return plain(actors.moment(frame) + wait).where_null(~course.failed(frame))


_SIGNS = {"purchase": 1, "grant": 1, "refund": 1, "usage": -1, "expiry": -1, "adjustment": 1}


def _credits_delta(frame: Frame, _column: Column) -> Values:
    kind = frame.values("event_type")
    signs = np.array([_SIGNS.get(word, 1) for word in kind.words])
    size = np.rint(frame.rng("credits").lognormal(1.0, 1.2, frame.rows) * MICRO).astype(np.int64)
    return plain(size * signs[kind.data])


def _ledger_usd(frame: Frame, _column: Column) -> Values:
    amount = money.cents(frame, "amount_usd", median=50.0)
    return plain(np.where(frame.values("event_type").is_word("refund"), -amount, amount))


def _rating(kind: str) -> Callable[[Frame, Column], Values]:
    def make(frame: Frame, _column: Column) -> Values:
        stars = np.minimum(5, 1 + frame.rng("stars").binomial(8, 0.72, frame.rows) / 2)
        thumbs = np.where(frame.chance("up", 0.8), 1.0, -1.0)
        return plain(np.where(frame.values(kind).is_word("thumbs"), thumbs, stars))

    return make


_SERVERS_OF_TOOLS = tuple(server for server, _ in _TOOLS)

SPECIAL: Mapping[str, Mapping[str, Callable[[Frame, Column], Values]]] = MappingProxyType(
    {
        "mcp_request_logs": {
            "mcp_server": _by_target(_SERVERS_OF_TOOLS, ()),
            "mcp_tool": _by_target(tuple(tool for _, tool in _TOOLS), ()),
            "path": _by_target(
                tuple(f"/mcp/{server}/tools/{tool}" for server, tool in _TOOLS), _PLAIN_PATHS
            ),
            "method": _by_target(
                tuple("POST" for _ in _TOOLS), ("POST", "GET", "PUT", "GET", "DELETE")
            ),
            "service": _by_target(
                tuple("mcp" for _ in _TOOLS), ("api", "api", "files", "api", "api")
            ),
            "consumer_username": _consumer,
        },
        "platform/mcp_usage": {"tool_name": _tool_of_request},
        "platform/webhook_deliveries": {
            "delivery_id": _delivery,
            "attempt": _attempt,
            "webhook_id": _of_first_attempt,
            "event_id": _of_first_attempt,
            "event_type": _of_first_attempt,
            "target_host": _of_first_attempt,
            "next_retry_at": _next_retry,
        },
        "billing_events": {"credits_delta": _credits_delta, "amount_usd": _ledger_usd},
        "rlhf_signals": {"rating": _rating("signal_type")},
        "platform/zerodb_rlhf": {"rating": _rating("feedback_type")},
    }
)
