"""What is unusual about an agent's day, in a sentence for whoever is on call.

Belongs here: words and figures of the column `explanation`.
Does not belong here: finding alarms (`anomaly_alarms`), gathering figures (`anomaly_evidence`).
"""

from collections.abc import Mapping
from datetime import date

from lake_assets.models.anomaly_alarms import ALL_AGENTS, FAMILIES, Finding
from lake_assets.models.anomaly_baseline import LEAST_DAYS
from lake_assets.models.anomaly_evidence import Evidence

_CALLED: Mapping[str, str] = {
    "runs": "runs",
    "requests": "gateway requests",
    "calls": "model calls",
    "tokens": "tokens",
    "tokens_per_call": "tokens per model call",
    "usd_per_million_tokens": "the price of a million tokens",
    "cost_usd": "cost",
    "error_rate": "the share of failed runs",
    "timeout_rate": "the share of runs that timed out",
    "unfinished_rate": "the share of runs that have not ended",
    "cancelled_rate": "the share of cancelled runs",
    "call_error_rate": "the share of failed model calls",
    "request_error_rate": "the share of failed requests",
    "latency_ms": "typical latency of model calls",
    "duration_ms": "typical duration of runs",
    "slow_latency_ms": "latency of the slowest tenth of model calls",
    "slow_duration_ms": "duration of the slowest tenth of runs",
}
_ADDED = ("runs", "requests", "calls", "tokens", "cost_usd")
"""Metrics whose days add up."""
_VOLUME = FAMILIES[0]
_TOLD_CHANGE = 0.1
"""Changes of unit prices and costs from here on are told."""
_MOST_NAMED = 4


def explanation(
    finding: Finding,
    day: date,
    *,
    found: Mapping[str, Finding] | None = None,
    evidence: Evidence | None = None,
) -> str:
    """What is unusual, or that nothing is, in one sentence with figures.

    `found` are all findings of the day by label, `evidence` is what the rows tell of an alarm.
    """
    who = "All agents" if finding.agent == ALL_AGENTS else finding.agent
    came = f"{who}: {_CALLED[finding.metric]} came to {told(finding.metric, finding.observed)}"
    if finding.expected is None:
        return (
            f"{came}, which can't be judged: {finding.baseline_days} earlier days "
            f"are known and {LEAST_DAYS} are needed."
        )
    if finding.is_idle:
        usual = f"{told(finding.metric, finding.expected)} on days on which it works"
        if not finding.flagged:
            return f"{came}, nothing unusual (it is idle on many days, {usual})."
        return f"{came}, idle for longer than ever ({usual})."
    usual = f"{told(finding.metric, finding.expected)} expected, {_range(finding)} usual"
    if not finding.flagged:
        return f"{came}, nothing unusual ({usual})."
    if finding.agent == ALL_AGENTS and finding.lower <= finding.observed <= finding.upper:
        # Their sum may lie in its usual range where it is many agents at once that are off.
        usual = f"{told(finding.metric, finding.expected)} expected, many agents off at once"
    if finding.changed_on is not None:
        usual = (
            f"{told(finding.metric, finding.expected)} expected without the change since about "
            f"{finding.changed_on.isoformat()}"
        )
    text = f"{came}, {_compared(finding)} ({usual})"
    if finding.merged_into:
        return f"{text}; part of the alarm on {finding.merged_into}."
    start = finding.episode_start
    if finding.changed_on is None and start is not None and start < day:
        text += f", since {start.isoformat()}"
    parts = [
        text,
        *_impact(finding, found or {}),
        *_causes(finding, evidence or Evidence()),
        *_with_it(finding, found or {}),
    ]
    return "; ".join(parts) + "."


def told(metric: str, value: float) -> str:
    """A value of a metric with its unit."""
    if metric.endswith("_rate"):
        return f"{_plain(100 * value, 0 if value in {0.0, 1.0} else 1)} %"
    if metric in {"cost_usd", "usd_per_million_tokens"}:
        if value != 0 and abs(value) < 0.00005:
            return "less than 0.0001 USD"
        return f"{_plain(value, 2 if abs(value) >= 1 or value == 0 else 4)} USD"
    if metric.endswith("_ms"):
        return f"{_plain(value, 0)} ms" if value < 10_000 else f"{_plain(value / 1000, 1)} s"
    return _plain(value, 0 if value >= 10 or value == round(value) else 1)


def _plain(value: float, digits: int) -> str:
    """A number that is never a negative zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def _range(finding: Finding) -> str:
    low, high = told(finding.metric, finding.lower), told(finding.metric, finding.upper)
    if low == told(finding.metric, 0.0) or finding.lower <= 0:
        return f"up to {high}"
    return f"{low} to {high}"


def _compared(finding: Finding) -> str:
    expected = finding.expected or 0.0
    if finding.metric in _ADDED and finding.observed == 0:
        return "none at all"
    if expected > 0 and finding.observed > 0:
        ratio = finding.observed / expected
        if ratio >= 1.995:
            return f"{ratio:.1f} times the expected"
        if abs(ratio - 1) >= 0.005:
            side = "above" if ratio > 1 else "below"
            return f"{100 * abs(ratio - 1):.0f} % {side} the expected"
    return "far above the usual" if finding.z > 0 else "far below the usual"


def _impact(finding: Finding, found: Mapping[str, Finding]) -> list[str]:
    """The sum missing or spent."""
    parts: list[str] = []
    if finding.metric in _ADDED and finding.excess is not None:
        amount = told(finding.metric, abs(finding.excess))
        unit = "" if finding.metric == "cost_usd" else f" {_CALLED[finding.metric]}"
        since = finding.changed_on or finding.episode_start
        span = " since then" if since is not None and since < finding.day else ""
        if finding.excess < 0:
            verb = "less spent" if finding.metric == "cost_usd" else "missing"
            parts.append(f"about {amount}{unit} {verb}{span}")
        else:
            parts.append(f"about {amount}{unit} more than expected{span}")
    cost = found.get(f"{finding.agent} cost_usd")
    if finding.metric in _VOLUME and finding.metric != "cost_usd" and cost is not None:
        parts += _cost(cost)
    return parts


def _cost(cost: Finding) -> list[str]:
    if cost.expected is None or cost.is_idle:
        return []
    more = cost.observed - cost.expected
    if abs(more) < _TOLD_CHANGE * max(cost.expected, 1e-9) or abs(more) < 0.005:
        return []
    side = "more" if more > 0 else "less"
    spent, rest = told("cost_usd", cost.observed), told("cost_usd", abs(more))
    return [f"it cost {spent}, {rest} {side} than expected"]


def _causes(finding: Finding, evidence: Evidence) -> list[str]:
    parts: list[str] = []
    price, usual = evidence.price, evidence.usual_price
    if price is not None and usual is not None and usual > 0:
        now, before = (told("usd_per_million_tokens", each) for each in (price, usual))
        if abs(price / usual - 1) < _TOLD_CHANGE:
            parts.append(f"a million tokens cost {now} as before")
        else:
            parts.append(f"a million tokens cost {now}, {before} before")
    if evidence.model and finding.z > 0:
        shares = told("_rate", evidence.model_share), told("_rate", evidence.usual_model_share)
        parts.append(
            f"the model {evidence.model} has {shares[0]} of the tokens, {shares[1]} before"
        )
    if evidence.failure:
        shares = told("_rate", evidence.failure_share), told("_rate", evidence.usual_failure_share)
        parts.append(f"{evidence.failure} rose most, to {shares[0]} from {shares[1]}")
    return parts


def _with_it(finding: Finding, found: Mapping[str, Finding]) -> list[str]:
    """What else moved."""
    if finding.agent == ALL_AGENTS:
        return _members(finding, found)
    others = [found[label] for label in finding.also if label in found]
    named = [f"{_CALLED[each.metric]} ({_times(each)})" for each in others]
    return [f"with it: {', '.join(named)}"] if named else []


def _members(finding: Finding, found: Mapping[str, Finding]) -> list[str]:
    others = [found[label] for label in finding.also if label in found]
    metrics = [_CALLED[each.metric] for each in others if each.agent == ALL_AGENTS]
    agents = list(dict.fromkeys(each.agent for each in others if each.agent != ALL_AGENTS))
    parts = [f"{finding.agents} agents are judged together"]
    if metrics:
        parts.append(f"with it: {', '.join(metrics)}")
    if agents:
        rest = len(agents) - _MOST_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        parts.append(f"most of all {', '.join(agents[:_MOST_NAMED])}{more}")
    if finding.metric in _VOLUME and finding.z < 0:
        parts.append("a day that is not complete, or a public holiday, looks like this")
    return parts


def _times(finding: Finding) -> str:
    if finding.expected and finding.expected > 0 and finding.observed > 0:
        return f"{finding.observed / finding.expected:.1f} times"
    return f"{told(finding.metric, finding.observed)}"
