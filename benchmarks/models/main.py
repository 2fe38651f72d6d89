"""`python -m benchmarks models`: measure, and write the figures into docs/models.md.

Belongs here: which measurements make up the page, how they are told.
Does not belong here: measuring (`forecasts`, `alarms`).
"""

import argparse
import multiprocessing
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.models import (
    alarms,
    contest,
    contest_bars,
    contestants,
    daily_tables,
    failures,
    forecasts,
    incident_alarms,
)
from benchmarks.models.alarms import Tally
from benchmarks.models.contest import Score
from benchmarks.models.forecasts import Outcome
from benchmarks.models.unseen import PARTS, Part
from lake_assets.models.anomalies import DETECTOR_VERSION
from lake_assets.models.forecast_rows import model_version

PAGE = Path(__file__).parents[2] / "docs/models.md"


_Found = list[Outcome] | list[Tally] | list[str]

_MEASUREMENTS: Mapping[str, Callable[[], _Found]] = {
    "public series": forecasts.on_public,
    "sample data": partial(forecasts.on_sample, seeds=(7, 8), days=150, origins=(14, 28)),
    "hindsight": partial(
        forecasts.in_hindsight, seeds=(7, 8), others=range(21, 29), days=150, origins=(14, 28)
    ),
    "simulated series": partial(forecasts.on_simulated, each=2, seed=11),
    "planted events": partial(alarms.on_sample, seeds=(7, 8, 9), days=60),
    "ordinary days": partial(alarms.on_sample, seeds=(7, 8, 9), days=60, planted=False),
    "simulated agents": partial(alarms.on_simulated, seeds=range(1, 7)),
    "incidents, chosen on": partial(incident_alarms.lines, seeds=incident_alarms.CHOSEN_ON),
    "incidents, judged on": partial(incident_alarms.lines, seeds=incident_alarms.JUDGED_ON),
    "planted failures": partial(failures.on_sample, seeds=(7, 8, 9), days=60),
    "ordinary failures": partial(failures.on_sample, seeds=(7, 8, 9), days=60, planted=False),
}


def main(arguments: Sequence[str]) -> int:
    """Measure everything, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks models", description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only print the contest on the choosing part, which choices may be made on",
    )
    parser.add_argument("--contest", action="store_true", help="only print the contest")
    options = parser.parse_args(arguments)
    if not daily_tables.FOLDER.is_dir():
        parser.error(f"{daily_tables.FOLDER} is missing: `make bench-models` unpacks it")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn) as pool:
        if options.quick or options.contest:
            for part in PARTS if options.contest else PARTS[:1]:
                print(contestants.figures(_scores(pool, part), part), flush=True)
            spent_s = pool.submit(contest.processor_time_s).result()
            print(f"A day of forecasts for 100 agents takes {spent_s:.1f} s of processor time.")
            return 0
        measured = [pool.submit(_measured, name) for name in _MEASUREMENTS]
        spent_s = pool.submit(contest.processor_time_s)
        contests = {part: _scores(pool, part) for part in PARTS}
        found = {name: made.result() for name, made in zip(_MEASUREMENTS, measured, strict=True)}
    public = _outcomes(found["public series"])
    figures = "\n\n".join(
        (
            version_line(),
            contest_bars.table(contestants.public(contests["judging"]), spent_s.result()),
            contestants.split(),
            *(contestants.figures(contests[part], part) for part in reversed(PARTS)),
            _forecast_table(
                [
                    *_outcomes(found["sample data"]),
                    *public,
                    *_outcomes(found["simulated series"]),
                ]
            ),
            _hindsight(_outcomes(found["hindsight"])),
            "Public series that did not do better than seasonal naive: "
            + (_listed([each for each in public if not each.wins]) or "none")
            + ".",
            "Public series with a MASE of 1 or more: "
            + (_listed([each for each in public if each.mase >= 1]) or "none")
            + ".",
            _alarm_table(
                {
                    "sample, planted events": _tallies(found["planted events"]),
                    "sample, nothing planted": _tallies(found["ordinary days"]),
                    "simulated agents": _tallies(found["simulated agents"]),
                    "sample, planted failures": _tallies(found["planted failures"]),
                    "sample, no failures planted": _tallies(found["ordinary failures"]),
                }
            ),
            "Incidents on the judging seeds:",
            _lines(found["incidents, judged on"]),
            "Incidents on the choosing seeds:",
            _lines(found["incidents, chosen on"]),
        )
    )
    PAGE.write_text(with_figures(PAGE.read_text(), figures))
    print(f"{PAGE.name} written")
    return 0


def _scores(pool: ProcessPoolExecutor, part: Part) -> list[list[Score]]:
    """Scores by source."""
    return list(pool.map(contestants.scores_of, contestants.names(part)))


def version_line() -> str:
    """What the figures were measured of."""
    return f"Measured of forecasts {model_version()} and detector {DETECTOR_VERSION}."


def with_figures(page: str, figures: str) -> str:
    """The page with its generated part replaced."""
    pattern = re.compile(r"(<!-- figures -->\n).*?(\n<!-- /figures -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{figures}{found[2]}", page)


def _measured(name: str) -> _Found:
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    found = _MEASUREMENTS[name]()
    print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    return found


def _outcomes(found: _Found) -> list[Outcome]:
    return [each for each in found if isinstance(each, Outcome)]


def _lines(found: _Found) -> str:
    return "\n".join(each for each in found if isinstance(each, str))


def _tallies(found: _Found) -> list[Tally]:
    return [each for each in found if isinstance(each, Tally)]


def _forecast_table(outcomes: Sequence[Outcome]) -> str:
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        origin = each.group.split(",")[0]
        groups.setdefault(f"**{origin}**", []).append(each)
        groups.setdefault(each.group, []).append(each)
    lines = [
        "| series | number | MASE | of seasonal naive | better than naive | MASE below 1 "
        "| in 80 % interval | in 95 % interval |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, members in groups.items():
        cells = (
            name,
            str(len(members)),
            f"{np.median([each.mase for each in members]):.2f}",
            f"{np.median([each.naive_mase for each in members]):.2f}",
            _percent([each.wins for each in members]),
            _percent([each.mase < 1 for each in members]),
            f"{100 * np.mean([each.covered_80 for each in members]):.1f} %",
            f"{100 * np.mean([each.covered_95 for each in members]):.1f} %",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _hindsight(outcomes: Sequence[Outcome]) -> str:
    return (
        "The mean of eight other samples, which knows growth and planted events beforehand, has a "
        f"MASE of {np.median([each.mase for each in outcomes]):.2f} on the series of the sample, "
        f"below 1 on {_percent([each.mase < 1 for each in outcomes])} of them."
    )


def _percent(flags: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(flags)):.0f} %"


def _listed(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{each.name} ({each.mase:.2f})" for each in outcomes)


def _alarm_table(groups: dict[str, list[Tally]]) -> str:
    lines = [
        "| days | detector | alarms | right | precision | events | found | recall "
        "| ordinary rows flagged |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, tallies in groups.items():
        for each in tallies:
            cells = (
                name,
                each.detector,
                str(each.alarms),
                str(each.right),
                f"{each.precision:.2f}" if each.events else "",
                str(each.events),
                str(each.found),
                f"{each.recall:.2f}" if each.events else "",
                f"{each.ordinary_flagged} of {each.rows:,} ({100 * each.false_rate:.2f} %)",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
