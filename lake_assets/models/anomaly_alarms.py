"""From scores of a day to few alarms: one per incident, ranked.

Belongs here: severity, merging of metrics and agents that tell of the same thing, episodes.
Does not belong here: scores (`anomaly_baseline`), rows and sentences (`anomalies`).

Of the metrics of a family that are off for an agent to the same side, one is the alarm: the first
in the order of cause and effect (runs before requests before tokens before cost) whose score is at
least half the greatest. The others are merged into it. Where half of all agents, and at least
four, have the same alarm, the strongest stands for them all.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from lake_assets.models.anomaly_baseline import Scores
from lake_assets.models.anomaly_measures import Measure
from lake_assets.models.series import Span

FAMILIES: Sequence[tuple[str, ...]] = (
    ("runs", "requests", "tokens", "cost_usd"),
    ("error_rate", "request_error_rate"),
    ("latency_ms", "duration_ms"),
)
"""Metrics that tell of the same thing, causes before effects."""

SEVERITIES = ((10.0, "critical"), (7.0, "high"), (5.0, "medium"), (0.0, "low"))
_LEAST_FLEET = 4
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
    observed: float
    trials: int
    baseline_days: int
    expected: float | None = None
    z: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    flagged: bool = False
    episode_start: date | None = None
    merged_into: str = ""
    also: tuple[str, ...] = ()
    rank: int | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether it is reported: off, and not part of another alarm."""
        return self.flagged and not self.merged_into

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
    by_family = _merged_metrics(found)
    return _ranked(_merged_agents(by_family))


def _of_measure(measure: Measure, scores: Scores, span: Span) -> Iterable[Finding]:
    for index, agent in enumerate(measure.agents):
        value = float(measure.values[index, -1])
        recent = measure.trials[index, -28:].sum() > 0
        if math.isnan(value) or not recent:
            continue
        finding = Finding(
            agent=agent,
            metric=measure.metric,
            observed=value,
            trials=int(measure.trials[index, -1]),
            baseline_days=int(scores.baseline_days[index, -1]),
        )
        z = float(scores.z[index, -1])
        if math.isnan(z):
            yield finding
            continue
        flagged = bool(scores.flagged[index, -1])
        yield replace(
            finding,
            expected=float(scores.expected[index, -1]),
            z=z,
            lower=float(scores.lower[index, -1]),
            upper=float(scores.upper[index, -1]),
            flagged=flagged,
            episode_start=_episode_start(measure, scores, index, span) if flagged else None,
        )


def _episode_start(measure: Measure, scores: Scores, index: int, span: Span) -> date:
    """The first of the flagged days to the same side that lead to the last day."""
    start = last = span.days - 1
    side = scores.z[index, last] > 0
    for day in range(span.days - 2, -1, -1):
        if not measure.present[day]:
            continue
        if start - day > _LONGEST_LULL_D:
            break
        if scores.flagged[index, day] and (scores.z[index, day] > 0) == side:
            start = day
    return span.day(start)


def _merged_metrics(found: Sequence[Finding]) -> list[Finding]:
    groups: dict[tuple[str, int, bool], list[Finding]] = {}
    for finding in found:
        if finding.flagged:
            family = next(n for n, names in enumerate(FAMILIES) if finding.metric in names)
            groups.setdefault((finding.agent, family, finding.z > 0), []).append(finding)
    merged = {finding.label: finding for finding in found}
    for (_, family, _), group in groups.items():
        strongest = max(abs(finding.z) for finding in group)
        ordered = sorted(group, key=lambda each: FAMILIES[family].index(each.metric))
        lead = next(finding for finding in ordered if abs(finding.z) >= strongest / 2)
        _merge(merged, lead, [finding for finding in ordered if finding is not lead])
    return list(merged.values())


def _merged_agents(found: Sequence[Finding]) -> list[Finding]:
    scored: dict[str, int] = {}
    groups: dict[tuple[str, bool], list[Finding]] = {}
    for finding in found:
        scored[finding.metric] = scored.get(finding.metric, 0) + (finding.expected is not None)
        if finding.is_alarm:
            groups.setdefault((finding.metric, finding.z > 0), []).append(finding)
    merged = {finding.label: finding for finding in found}
    for (metric, _), group in groups.items():
        if len(group) >= max(_LEAST_FLEET, scored[metric] / 2):
            first, *others = sorted(group, key=_strength)
            _merge(merged, first, others)
    return list(merged.values())


def _merge(merged: dict[str, Finding], lead: Finding, others: Sequence[Finding]) -> None:
    also = (*lead.also, *(finding.label for finding in others))
    merged[lead.label] = replace(lead, also=also)
    for finding in others:
        merged[finding.label] = replace(finding, merged_into=lead.label)


def _strength(finding: Finding) -> tuple[float, str, str]:
    return -abs(finding.z), finding.agent, finding.metric


def _ranked(found: Sequence[Finding]) -> list[Finding]:
    alarms = sorted((finding for finding in found if finding.is_alarm), key=_strength)
    ranks = {finding.label: rank for rank, finding in enumerate(alarms, start=1)}
    ordered = sorted(found, key=lambda finding: (finding.agent, finding.metric))
    return [replace(finding, rank=ranks.get(finding.label)) for finding in ordered]
