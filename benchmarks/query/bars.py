"""What the numbers must be, as ratios within one run.

Belongs here: each bar, judged.
Does not belong here: measuring, printing.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.query.inside import GuardTimes
from benchmarks.query.measure import ManyClients
from benchmarks.query.queries import HEAVY, LIGHT, QUERIES

TIMES_FASTER_WARM = 4.0
TIMES_FLOOR = 2.0
FLOOR_EXTRA_MS = 3.0
TIMES_FASTER_COLD = 2.0
REPEATED_MS = 2.0
ONE_DAY_RATIO = 1.3
BESIDE_HEAVY_RATIO = 5.0
GUARD_FIRST_MS = 1.5
GUARD_AGAIN_MS = 0.1
KEYS_PER_PAGE = 1_000
REQUESTS_PER_OBJECT = 2

Times = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: what was measured, what is wanted; `passed` is None when it was not measured."""

    name: str
    measured: str
    wanted: str
    passed: bool | None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def right_bars(right: Mapping[str, Mapping[str, str]]) -> Iterator[Bar]:
    """Answers of each contender against the memory table's."""
    for name, outcomes in right.items():
        equal = sum(outcome == "equal" for outcome in outcomes.values())
        yield Bar(
            name=f"answers of {name}",
            measured=f"{equal} of {len(outcomes)} equal",
            wanted="all",
            passed=equal == len(outcomes),
        )


def warm_bars(warm: Times, *, ours: str, floor: str, peers: Sequence[str]) -> Iterator[Bar]:
    """Each query against the best peer, and against the floor."""
    for query in QUERIES:
        mine = statistics.median(warm[ours][query.name])
        best = _best(warm, query.name, peers)
        if best is not None:
            yield _times_faster(f"warm, {query.name}: best peer", mine, best, TIMES_FASTER_WARM)
        least = statistics.median(warm[floor][query.name])
        allowed = TIMES_FLOOR * least + FLOOR_EXTRA_MS
        yield Bar(
            name=f"warm, {query.name}: floor",
            measured=f"{mine:.1f} ms; floor {least:.1f} ms",
            wanted=f"at most 2 × floor + 3 ms = {allowed:.1f} ms",
            passed=mine <= allowed,
        )


def cold_bars(cold: Times, *, ours: str, peers: Sequence[str]) -> Iterator[Bar]:
    """The cold full aggregate against the best peer."""
    best = _best(cold, HEAVY, peers)
    if best is not None and cold[ours].get(HEAVY):
        mine = statistics.median(cold[ours][HEAVY])
        yield _times_faster(f"cold, {HEAVY}: best peer", mine, best, TIMES_FASTER_COLD)


def _best(times: Times, query: str, peers: Sequence[str]) -> tuple[str, float] | None:
    found = [
        (statistics.median(times[peer][query]), peer) for peer in peers if times[peer].get(query)
    ]
    return (min(found)[1], min(found)[0]) if found else None


def _times_faster(name: str, mine: float, best: tuple[str, float], wanted: float) -> Bar:
    ratio = best[1] / mine
    return Bar(
        name=name,
        measured=f"{ratio:.1f} × ({mine:.1f} ms; {best[0]} {best[1]:.1f} ms)",
        wanted=f"at least {wanted:g} ×",
        passed=ratio >= wanted,
    )


def repeated_bar(server_ms: Mapping[str, Sequence[float]]) -> Bar:
    """The slowest repeated query, in time that the server itself took."""
    worst = max((statistics.median(taken), name) for name, taken in server_ms.items())
    return Bar(
        name="repeated query, server time",
        measured=f"{worst[0]:.2f} ms ({worst[1]})",
        wanted=f"under {REPEATED_MS:g} ms",
        passed=worst[0] < REPEATED_MS,
    )


def request_bars(
    cold: Mapping[str, int], warm: Mapping[str, int], *, objects: int, keys: int
) -> Iterator[Bar]:
    """S3 requests of everything cold up to the full aggregate, and of warm queries."""
    pages = math.ceil(keys / KEYS_PER_PAGE)
    yield Bar(
        name="cold full aggregate: LIST pages",
        measured=str(cold.get("LIST", 0)),
        wanted=f"at most {pages} for {keys} keys",
        passed=cold.get("LIST", 0) <= pages,
    )
    requests = cold.get("GET", 0) + cold.get("HEAD", 0)
    yield Bar(
        name="cold full aggregate: requests per object",
        measured=f"{requests / objects:.2f}",
        wanted=f"at most {REQUESTS_PER_OBJECT}",
        passed=requests <= REQUESTS_PER_OBJECT * objects,
    )
    listed = warm.get("LIST", 0) + warm.get("HEAD", 0)
    yield Bar(
        name="warm queries: LIST and HEAD", measured=str(listed), wanted="none", passed=not listed
    )


def one_day_bar(days: Mapping[str, Sequence[float]], *, small: int, large: int) -> Bar:
    """One day of many days against one day of few."""
    few, many = statistics.median(days["small"]), statistics.median(days["large"])
    return Bar(
        name=f"one day of {large} against one of {small}",
        measured=f"{many / few:.2f} × ({many:.1f} ms; {few:.1f} ms)",
        wanted=f"at most {ONE_DAY_RATIO:g} ×",
        passed=many / few <= ONE_DAY_RATIO,
    )


def light_times(result: ManyClients) -> Sequence[float]:
    """All times of light queries."""
    return [taken_ms for name in LIGHT for taken_ms in result.taken.get(name, ())]


def fairness_bar(beside: Mapping[str, ManyClients]) -> Bar:
    """Light queries of many clients beside one heavy scan."""
    idle = percentile([*light_times(beside["idle"]), *light_times(beside["idle again"])], 0.99)
    heavy = percentile(light_times(beside["heavy"]), 0.99)
    failures = [one for result in beside.values() for one in result.failures]
    return Bar(
        name=f"light p99 of {beside['idle'].clients} clients beside a heavy scan",
        measured=f"{heavy / idle:.1f} × ({heavy:.0f} ms; idle {idle:.0f} ms)"
        + (f"; failed: {failures[0]}" if failures else ""),
        wanted=f"at most {BESIDE_HEAVY_RATIO:g} ×",
        passed=heavy / idle <= BESIDE_HEAVY_RATIO and not failures,
    )


def guard_bars(times: GuardTimes) -> Iterator[Bar]:
    """Guard and plan over the corpus."""
    for name, values, wanted in (
        ("guard and plan, first seen, p50", times.first_both, GUARD_FIRST_MS),
        ("guard and plan, seen before, p50", times.again_both, GUARD_AGAIN_MS),
    ):
        middle = statistics.median(values)
        yield Bar(
            name=name,
            measured=f"{middle:.3f} ms (p99 {percentile(values, 0.99):.2f} ms)",
            wanted=f"under {wanted:g} ms",
            passed=middle < wanted,
        )
