"""Alarms against realistic incidents in rows: how many are found, when, at what price.

Belongs here: going through the days of simulated fleets, what counts as found and as ordinary.
Does not belong here: the fleets (`simulated_rows`), the incidents (`incidents`), detecting.

An incident is found by an alarm about its agent, or about all agents where it concerns all, and a
metric that it changes, on one of its days or the day after; its delay is that of the first such
alarm. Rows are ordinary unless their agent has an incident, from its first day until a week after
its last, or the day is one of an incident of all or a public holiday.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta

import numpy as np

from benchmarks.models.incidents import Incident, planted
from benchmarks.models.simulated_agents import until
from benchmarks.models.simulated_rows import fleet, rows
from lake_assets.models.anomalies import WINDOW_DAYS
from lake_assets.models.anomaly_alarms import Finding, findings
from lake_assets.models.anomaly_baseline import Scores, score
from lake_assets.models.anomaly_measures import measures
from lake_assets.models.series import Span

LAST_DAY = date(2026, 11, 22)
AGENTS = 72
DAYS = 98
EVALUATED = 21
HOLIDAYS = (50, 85)
AFTERMATH_D = 7

CHOSEN_ON = range(1, 9)
"""Seeds of the fleets that thresholds and tests were chosen on."""
JUDGED_ON = range(101, 105)
"""Seeds of the fleets that nothing was chosen on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An incident, with the days until its first alarm; None where there was none."""

    seed: int
    incident: Incident
    delay_d: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinaryRow:
    """One judged row of an ordinary day."""

    metric: str
    flagged: bool
    finding: Finding
    day_score: float
    lasting_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the incidents and the ordinary rows of some fleets."""

    found: tuple[Found, ...]
    ordinary: tuple[OrdinaryRow, ...]
    alarms_on_days_for_all: tuple[int, ...]
    """Alarms about volume on each day of an incident of all, but for those of other incidents."""
    alarms_on_holidays: tuple[int, ...]

    @property
    def number_found(self) -> int:
        """Incidents with an alarm."""
        return sum(each.delay_d is not None for each in self.found)

    @property
    def median_delay_d(self) -> float:
        """Of those found."""
        return float(np.median([each.delay_d for each in self.found if each.delay_d is not None]))

    @property
    def ordinary_flagged(self) -> int:
        """Ordinary rows outside the range that is no alarm."""
        return sum(row.flagged for row in self.ordinary)


def on_incidents(*, seeds: Iterable[int], each_day_anew: bool = False) -> Verdict:
    """The fleets of these seeds.

    Scores of a day follow from the days before it, so one pass over all days has those of each.
    With `each_day_anew` every day is derived from its own window, as in the lake: twenty times the
    time, and nearly the same figures.
    """
    verdicts = [_of_seed(seed, each_day_anew=each_day_anew) for seed in seeds]
    return Verdict(
        found=tuple(each for verdict in verdicts for each in verdict.found),
        ordinary=tuple(row for verdict in verdicts for row in verdict.ordinary),
        alarms_on_days_for_all=tuple(
            n for verdict in verdicts for n in verdict.alarms_on_days_for_all
        ),
        alarms_on_holidays=tuple(n for verdict in verdicts for n in verdict.alarms_on_holidays),
    )


def _of_seed(seed: int, *, each_day_anew: bool) -> Verdict:
    made = fleet(agents=AGENTS, last_day=LAST_DAY, days=DAYS, holidays=HOLIDAYS, seed=seed)
    effects, incidents = planted(made, first=DAYS - EVALUATED, seed=seed)
    measured = measures(rows(made, effects), Span(last=LAST_DAY, days=DAYS))
    passed = [(measure, score(measure, scored_days=WINDOW_DAYS)) for measure in measured]
    by_day: dict[int, Sequence[Finding]] = {}
    candidates: dict[tuple[str, str, int], tuple[float, float]] = {}
    for day in range(DAYS - EVALUATED, DAYS):
        if each_day_anew:
            seen = [until(measure, day, WINDOW_DAYS) for measure in measured]
            scored = [(measure, score(measure)) for measure in seen]
        else:
            scored = [(until(m, day, day + 1), _until(scores, day)) for m, scores in passed]
        span = Span(last=made.first_day + timedelta(days=day), days=scored[0][0].values.shape[1])
        by_day[day] = findings(scored, span)
        for measure, scores in scored:
            for row, agent in enumerate(measure.agents):
                last = float(scores.day_score[row, -1]), float(scores.lasting_score[row, -1])
                candidates[agent, measure.metric, day] = last
    special = {each.first for each in incidents if not each.agent} | set(HOLIDAYS)
    busy = {
        (each.agent, day)
        for each in incidents
        for day in range(each.first, each.last + 1 + AFTERMATH_D)
        if each.agent
    }
    ordinary = [
        OrdinaryRow(
            metric=row.metric,
            flagged=row.flagged,
            finding=row,
            day_score=candidates.get((row.agent, row.metric, day), (row.z, 0.0))[0],
            lasting_score=candidates.get((row.agent, row.metric, day), (0.0, 0.0))[1],
        )
        for day, found in by_day.items()
        if day not in special
        for row in found
        if row.expected is not None and (row.agent, day) not in busy
    ]

    def alarms_on(day: int) -> int:
        return sum(row.is_alarm and (row.agent, day) not in busy for row in by_day.get(day, ()))

    return Verdict(
        found=tuple(
            Found(seed=seed, incident=each, delay_d=_delay(each, by_day)) for each in incidents
        ),
        ordinary=tuple(ordinary),
        alarms_on_days_for_all=tuple(alarms_on(each.first) for each in incidents if not each.agent),
        alarms_on_holidays=tuple(alarms_on(day) for day in HOLIDAYS if day in by_day),
    )


def _delay(incident: Incident, by_day: dict[int, Sequence[Finding]]) -> int | None:
    for day in range(incident.first, incident.last + 2):
        for row in by_day.get(day, ()):
            about = row.agent == incident.agent or not incident.agent
            if about and row.is_alarm and row.metric in incident.metrics:
                return day - incident.first
    return None


def _until(scores: Scores, day: int) -> Scores:
    cut = {
        each.name: getattr(scores, each.name)[:, : day + 1]
        for each in fields(scores)
        if each.name != "shared"
    }
    return Scores(**cut, shared={at: each for at, each in scores.shared.items() if at <= day})


def lines(*, seeds: Sequence[int]) -> list[str]:
    """The table of the fleets of these seeds, and what it does not show."""
    verdict = on_incidents(seeds=seeds)
    kinds: dict[str, list[int | None]] = {}
    for each in verdict.found:
        kinds.setdefault(each.incident.kind, []).append(each.delay_d)
    table = ["| incident | number | found | median delay in days |", "| --- | --- | --- | --- |"]
    for kind, delays in sorted(kinds.items()):
        late = [delay for delay in delays if delay is not None]
        median = f"{np.median(late):.0f}" if late else ""
        table.append(f"| {kind} | {len(delays)} | {len(late)} | {median} |")
    every, judged = len(verdict.found), len(verdict.ordinary)
    share = 100 * verdict.ordinary_flagged / judged
    table += [
        f"| **all** | {every} | {verdict.number_found} | {verdict.median_delay_d:.0f} |",
        "",
        f"{verdict.ordinary_flagged} of {judged:,} ordinary rows are flagged ({share:.2f} %). "
        f"Seeds {seeds[0]} to {seeds[-1]}. Alarms on days that were incomplete for all agents, "
        f"apart from other incidents: {_counted(verdict.alarms_on_days_for_all)}; on public "
        f"holidays: {_counted(verdict.alarms_on_holidays)}.",
    ]
    return table


def _counted(numbers: Sequence[int]) -> str:
    return ", ".join(f"{number} on {numbers.count(number)}" for number in sorted(set(numbers)))
