"""Alarms against events that are known, beside two simple rules.

Belongs here: which alarms are right, which events were found, how often ordinary rows alarm.
Does not belong here: detecting (`lake_assets.models`), the agents (`simulated_agents`, `sample`).

An alarm is right when it is about an agent and a family of metrics (volume, failures, speed) that
an event changes, on one of its days or the day after. An event is found when an alarm is right
about it. The rules, on the same measures: **28-day z-score**, more than 3 standard deviations from
the mean of the 28 days before; **week over week**, more than twice or less than half the value a
week before. Neither merges what belongs together.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from benchmarks.models.sample import nothing_planted, tables
from benchmarks.models.simulated_agents import Event, fleet, until
from lake_assets.models.anomalies import WINDOW_DAYS
from lake_assets.models.anomaly_alarms import ALL_AGENTS, FAMILIES, findings
from lake_assets.models.anomaly_baseline import score
from lake_assets.models.anomaly_measures import CALLS, REQUESTS, RUNS, Measure, measures
from lake_assets.models.series import Span
from lake_assets.sample_data.planted import PLANTED, Metric, PlantedEvent
from lake_assets.sample_data.spec import SampleSpec
from lake_assets.sample_data.world import AGENTS

LAST_DAY = date(2026, 11, 22)
DETECTORS = ("this detector", "28-day z-score, 3", "week over week, 2")

Alarm = tuple[str, int, int]
"""Agent, family of metrics, day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one detector came to; `ordinary` rows are those without an event."""

    detector: str
    alarms: int
    right: int
    events: int
    found: int
    rows: int
    ordinary_flagged: int

    @property
    def precision(self) -> float:
        """Right alarms of all."""
        return self.right / self.alarms if self.alarms else 1.0

    @property
    def recall(self) -> float:
        """Found events of all."""
        return self.found / self.events if self.events else 1.0

    @property
    def false_rate(self) -> float:
        """Flagged share of ordinary rows."""
        return self.ordinary_flagged / self.rows if self.rows else 0.0


def family(metric: str) -> int:
    """The place of a metric's family."""
    return next(place for place, names in enumerate(FAMILIES) if metric in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Truth:
    """An event as alarms are compared with it: agents, family, days."""

    agents: tuple[str, ...]
    family: int
    days: range

    def holds(self, alarm: Alarm) -> bool:
        agent, group, day = alarm
        near = range(self.days.start, self.days.stop + 1)
        return agent in self.agents and group == self.family and day in near


def _tally(
    detector: str,
    alarms: Sequence[Alarm],
    flagged: Sequence[Alarm],
    truths: Sequence[_Truth],
    rows: int,
) -> Tally:
    def known(alarm: Alarm) -> bool:
        return any(truth.holds(alarm) for truth in truths)

    return Tally(
        detector=detector,
        alarms=len(alarms),
        right=sum(map(known, alarms)),
        events=len(truths),
        found=sum(any(truth.holds(alarm) for alarm in alarms) for truth in truths),
        rows=rows,
        ordinary_flagged=sum(not known(alarm) for alarm in flagged),
    )


def added(tallies: Iterable[Tally]) -> list[Tally]:
    """The sum per detector."""
    sums: dict[str, Tally] = {}
    for each in tallies:
        known = sums.get(each.detector)
        sums[each.detector] = each if known is None else _sum(known, each)
    return list(sums.values())


def _sum(first: Tally, second: Tally) -> Tally:
    return Tally(
        detector=first.detector,
        alarms=first.alarms + second.alarms,
        right=first.right + second.right,
        events=first.events + second.events,
        found=first.found + second.found,
        rows=first.rows + second.rows,
        ordinary_flagged=first.ordinary_flagged + second.ordinary_flagged,
    )


def _compare(
    measured: Sequence[Measure], truths: Sequence[_Truth], days: Sequence[int]
) -> list[Tally]:
    """All detectors on the same measures and days."""
    alarms: list[Alarm] = []
    flagged: list[Alarm] = []
    rows = 0
    for day in days:
        seen = [until(measure, day, WINDOW_DAYS) for measure in measured]
        span = Span(last=LAST_DAY, days=min(WINDOW_DAYS, day + 1))
        for each in findings([(m, score(m)) for m in seen], span):
            rows += each.expected is not None
            if each.flagged:
                flagged.append((each.agent, family(each.metric), day))
            if each.is_alarm:
                alarms.append((each.agent, family(each.metric), day))
    simple = {"z": list(_z_score(measured, days)), "week": list(_week(measured, days))}
    return [
        _tally(DETECTORS[0], alarms, flagged, truths, rows),
        _tally(DETECTORS[1], simple["z"], simple["z"], truths, rows),
        _tally(DETECTORS[2], simple["week"], simple["week"], truths, rows),
    ]


def _z_score(measured: Sequence[Measure], days: Sequence[int]) -> Iterator[Alarm]:
    for measure in measured:
        for row, agent in enumerate(measure.agents):
            for day in days:
                past = measure.values[row, max(0, day - 28) : day]
                past = past[~np.isnan(past)]
                value = float(measure.values[row, day])
                if len(past) < 7 or math.isnan(value) or past.std() == 0:
                    continue
                if abs(value - past.mean()) > 3 * past.std():
                    yield agent, family(measure.metric), day


def _week(measured: Sequence[Measure], days: Sequence[int]) -> Iterator[Alarm]:
    for measure in measured:
        for row, agent in enumerate(measure.agents):
            for day in days:
                before, value = (float(measure.values[row, at]) for at in (day - 7, day))
                if before > 0 and not math.isnan(value) and not 0.5 <= value / before <= 2:
                    yield agent, family(measure.metric), day


def on_simulated(*, seeds: Sequence[int], days: int = 70, evaluated: int = 10) -> list[Tally]:
    """Fleets of 24 agents with eight events each."""
    tallies: list[Tally] = []
    for seed in seeds:
        measured, events = fleet(agents=24, days=days, planted=8, evaluated=evaluated, seed=seed)
        truths = [_truth(event) for event in events]
        tallies += _compare(measured, truths, range(days - evaluated, days))
    return added(tallies)


def _truth(event: Event) -> _Truth:
    days = range(event.first, event.last + 1)
    return _Truth(agents=(event.agent,), family=family(event.metric), days=days)


def on_sample(
    *, seeds: Sequence[int], days: int, evaluated: int = 11, planted: bool = True
) -> list[Tally]:
    """Sample data: its planted events of agents and models, or days without any."""
    tallies: list[Tally] = []
    for seed in seeds:
        spec = SampleSpec(last_day=LAST_DAY, days=days, seed=seed)
        if planted:
            inputs = tables(spec)
        else:
            with nothing_planted():
                inputs = tables(spec)
        measured = measures(inputs, Span(last=LAST_DAY, days=days))
        truths = [_planted(event, days) for event in in_scope()] if planted else []
        tallies += _compare(measured, truths, range(days - evaluated, days))
    return added(tallies)


_FAMILY_OF = {
    Metric.TOKENS: family("tokens"),
    Metric.VOLUME: family("runs"),
    Metric.ERRORS: family("error_rate"),
    Metric.LATENCY: family("latency_ms"),
}


def in_scope() -> list[PlantedEvent]:
    """Planted events in the inputs of `agent_anomalies`."""
    return [event for event in PLANTED if event.dataset in {RUNS, CALLS, REQUESTS}]


def _planted(event: PlantedEvent, days: int) -> _Truth:
    agents = (event.subject,)
    if event.subject_column == "model":
        # Of a slow model, every agent that calls it may tell, and so may all together.
        agents = (*(agent.agent_id for agent in AGENTS), ALL_AGENTS)
    first, last = days - 1 - event.first_day_ago, days - 1 - event.last_day_ago
    return _Truth(agents=agents, family=_FAMILY_OF[event.metric], days=range(first, last + 1))
