"""From scores of a day to few alarms: one per incident, ranked.

Belongs here: severity, merging of metrics and agents that tell of the same thing, episodes.
Does not belong here: scores (`anomaly_baseline`), rows and sentences (`anomalies`).

Of the metrics of a family that are off for an agent to the same side, one is the alarm: the first
in the order of cause and effect (runs before requests before tokens before cost) whose score is at
least half the greatest. The others are merged into it. Where all agents are off together, such as
on a day that is not complete or a public holiday, a row about all of them is the alarm, and those
that are off no more than the others are merged into it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from lake_assets.models.anomaly_baseline import Scores
from lake_assets.models.anomaly_measures import Kind, Measure
from lake_assets.models.series import Flags, Span

ALL_AGENTS = "(all)"
"""The agent of rows about all agents together."""

FAMILIES: Sequence[tuple[str, ...]] = (
    (
        "runs",
        "requests",
        "calls",
        "tokens",
        "tokens_per_call",
        "usd_per_million_tokens",
        "cost_usd",
    ),
    (
        "error_rate",
        "timeout_rate",
        "unfinished_rate",
        "cancelled_rate",
        "call_error_rate",
        "request_error_rate",
    ),
    ("latency_ms", "duration_ms", "slow_latency_ms", "slow_duration_ms"),
)
"""Metrics that tell of the same thing, causes before effects."""

_SHARED = {"runs", "requests", "calls", "tokens", "cost_usd"}
"""Metrics that all follow from how much is done."""

SEVERITIES = ((10.0, "critical"), (7.0, "high"), (5.0, "medium"), (0.0, "low"))
_LONGEST_LULL_D = 2
"""Days from one flagged day to the next of the same episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One agent and metric on the day.

    `merged_into` names the alarm that stands for this one, as `AGENT METRIC`; `also` what is
    merged into this one. `expected` and all that follows from it is None without a baseline.
    """

    agent: str
    metric: str
    day: date
    observed: float
    trials: int
    baseline_days: int
    expected: float | None = None
    z: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    flagged: bool = False
    episode_start: date | None = None
    changed_on: date | None = None
    """The first day of a lasting change, where it is that which is flagged."""
    excess: float | None = None
    """What came beyond the expected since the change or the episode began, of sums."""
    is_shared: bool = False
    is_idle: bool = False
    agents: int = 1
    """Agents that the row is about."""
    merged_into: str = ""
    also: tuple[str, ...] = ()
    rank: int | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether it is reported: off, and not part of another alarm."""
        return self.flagged and not self.merged_into

    @property
    def is_of_all(self) -> bool:
        """Whether it is about all agents together."""
        return self.agent == ALL_AGENTS

    @property
    def test(self) -> str | None:
        """What found it: a word of the column `detected_by`."""
        if not self.flagged:
            return None
        if self.is_of_all or self.is_shared:
            return "all_agents"
        return "day" if self.changed_on is None else "lasting"

    @property
    def severity(self) -> str:
        """How far off it is, in a word; `none` unless flagged."""
        if not self.flagged:
            return "none"
        return next(word for least, word in SEVERITIES if abs(self.z) >= least)

    @property
    def label(self) -> str:
        """What other findings call it."""
        return f"{self.agent} {self.metric}"


def findings(scored: Iterable[tuple[Measure, Scores]], span: Span) -> list[Finding]:
    """All agents and metrics of the span's last day, alarms merged and ranked."""
    found: list[Finding] = []
    for measure, scores in scored:
        if measure.present[-1]:
            found += _of_measure(measure, scores, span)
            if ALL_AGENTS not in measure.agents:
                found += _of_all(measure, scores, span)
    return _ranked(_merged_agents(_merged_metrics(_with_all(found))))


def _of_measure(measure: Measure, scores: Scores, span: Span) -> Iterable[Finding]:
    for index, agent in enumerate(measure.agents):
        value = float(measure.values[index, -1])
        recent = measure.trials[index, -28:].sum() > 0
        if math.isnan(value) or not recent:
            continue
        finding = Finding(
            agent=agent,
            metric=measure.metric,
            day=span.last,
            observed=value,
            trials=int(measure.trials[index, -1]),
            baseline_days=int(scores.baseline_days[index, -1]),
        )
        z = float(scores.z[index, -1])
        if math.isnan(z):
            yield finding
            continue
        flagged = bool(scores.flagged[index, -1])
        lasts = int(scores.lasts[index, -1])
        start = _start_of(measure, scores, index, span) if flagged else None
        changed_on = span.day(span.days - lasts) if flagged and lasts else None
        yield replace(
            finding,
            expected=float(scores.expected[index, -1]),
            z=z,
            lower=float(scores.lower[index, -1]),
            upper=float(scores.upper[index, -1]),
            flagged=flagged,
            is_shared=bool(scores.is_shared[index, -1]),
            is_idle=bool(scores.is_idle[index, -1]),
            changed_on=changed_on,
            episode_start=start,
            excess=_excess(measure, scores, index, span, changed_on or start),
        )


def _excess(
    measure: Measure, scores: Scores, index: int, span: Span, start: date | None
) -> float | None:
    """What came beyond the expected from a day on, of measures that are sums."""
    if measure.kind is not Kind.AMOUNT or start is None:
        return None
    days = slice((start - span.first).days, None)
    more = measure.values[index, days] - scores.expected[index, days]
    return float(more[~np.isnan(more)].sum())


def _start_of(measure: Measure, scores: Scores, index: int, span: Span) -> date:
    side = np.sign(scores.z[index])
    return _episode_start(measure, scores.flagged[index] & (side == side[-1]), span)


def _of_all(measure: Measure, scores: Scores, span: Span) -> Iterable[Finding]:
    last = span.days - 1
    shared = scores.shared.get(last)
    if shared is None:
        return
    off = np.zeros(span.days, dtype=np.bool_)
    for day, each in scores.shared.items():
        off[day] = each.flagged and (each.z > 0) == (shared.z > 0)
    yield Finding(
        agent=ALL_AGENTS,
        metric=measure.metric,
        day=span.last,
        observed=shared.observed,
        trials=int(measure.trials[:, -1].sum()),
        baseline_days=int(scores.baseline_days[:, -1].max()),
        expected=shared.expected,
        z=shared.z,
        lower=shared.lower,
        upper=shared.upper,
        flagged=shared.flagged,
        agents=shared.agents,
        excess=shared.observed - shared.expected if measure.kind is Kind.AMOUNT else None,
        episode_start=_episode_start(measure, off, span) if shared.flagged else None,
    )


def _episode_start(measure: Measure, off: Flags, span: Span) -> date:
    """The first of the flagged days to the same side that lead to the last day."""
    start = span.days - 1
    for day in range(span.days - 2, -1, -1):
        if not measure.present[day]:
            continue
        if start - day > _LONGEST_LULL_D:
            break
        if off[day]:
            start = day
    return span.day(start)


def _family(metric: str) -> int:
    return next(place for place, names in enumerate(FAMILIES) if metric in names)


def _with_all(found: Sequence[Finding]) -> list[Finding]:
    """Marks sums that are off where all agents are, in another of the sums.

    On a public holiday runs may be off for all, and their cost for too few agents to say so.
    """
    of_all = {(each.metric, each.z > 0) for each in found if each.is_of_all and each.flagged}
    sides = {is_above for metric, is_above in of_all if metric in _SHARED}
    return [
        replace(finding, is_shared=True)
        if finding.flagged
        and not finding.is_of_all
        and finding.metric in _SHARED
        and (finding.z > 0) in sides
        and (finding.metric, finding.z > 0) not in of_all
        else finding
        for finding in found
    ]


def _merged_metrics(found: Sequence[Finding]) -> list[Finding]:
    groups: dict[tuple[str, int, bool], list[Finding]] = {}
    for finding in found:
        if finding.flagged:
            key = finding.agent, _family(finding.metric), finding.z > 0
            groups.setdefault(key, []).append(finding)
    merged = {finding.label: finding for finding in found}
    for (_, family, _), group in groups.items():
        # What is off by itself leads, then what is off as all agents are.
        leads = [finding for finding in group if not finding.is_shared] or group
        strongest = max(abs(finding.z) for finding in leads)
        ordered = sorted(leads, key=lambda each: FAMILIES[family].index(each.metric))
        lead = next(finding for finding in ordered if abs(finding.z) >= strongest / 2)
        _merge(merged, lead, [finding for finding in group if finding is not lead])
    return list(merged.values())


def _merged_agents(found: Sequence[Finding]) -> list[Finding]:
    """Agents that are off as all agents are become part of the alarm about all."""
    merged = {finding.label: finding for finding in found}
    for lead in [finding for finding in found if finding.is_of_all and finding.is_alarm]:
        family, is_above = _family(lead.metric), lead.z > 0
        members = [
            finding
            for finding in found
            if finding.flagged
            and not finding.is_of_all
            and (_family(finding.metric), finding.z > 0) == (family, is_above)
        ]
        off_by_itself = {each.agent for each in members if each.is_alarm and not each.is_shared}
        others = [each for each in members if each.agent not in off_by_itself]
        _merge(merged, lead, sorted(others, key=_strength))
    return list(merged.values())


def _merge(merged: dict[str, Finding], lead: Finding, others: Sequence[Finding]) -> None:
    also = (*lead.also, *(finding.label for finding in others))
    merged[lead.label] = replace(merged[lead.label], also=also)
    for finding in others:
        merged[finding.label] = replace(finding, merged_into=lead.label, also=())


def _strength(finding: Finding) -> tuple[float, str, str]:
    return -abs(finding.z), finding.agent, finding.metric


def _ranked(found: Sequence[Finding]) -> list[Finding]:
    alarms = sorted((finding for finding in found if finding.is_alarm), key=_strength)
    ranks = {finding.label: rank for rank, finding in enumerate(alarms, start=1)}
    ordered = sorted(found, key=lambda finding: (finding.agent, finding.metric))
    return [replace(finding, rank=ranks.get(finding.label)) for finding in ordered]
