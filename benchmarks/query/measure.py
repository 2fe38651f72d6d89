"""How the contenders are measured: in turns within one run, so that a busy machine hits all alike.

Belongs here: order, repetition, what counts as one sample.
Does not belong here: what a contender is (`contenders`), what the numbers must be (`bars`).
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.query.contender import Answer, AskFailed, Contender
from benchmarks.query.queries import BY_NAME, HEAVY, LIGHT, QUERIES, Query, Rows, same_rows
from benchmarks.query.venvs import PeerMissing
from lake_assets.catalog import LakeLocation

_BLOCK_CALLS = 12
_SLOW_MS = 1_500.0
_PAUSE_S = 1.0
_TEXTS_PER_CLIENT = 2_000
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int
    block_s: float
    cold: Sequence[tuple[str, int]]
    """Names of queries, and how often each is asked of a fresh process."""
    load_s: float
    clients: Sequence[int]
    peers_counted: Sequence[str]
    """Queries whose S3 requests are counted for the peers, too."""


def say(text: str) -> None:
    """Tell what is being done."""
    print(f"  {text}", flush=True)


def fresh(query: Query) -> str:
    """The query's text as it was never sent before."""
    return query.sql(next(_numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAnswers:
    """By contender and query: `equal` or what is wrong, and the milliseconds."""

    outcomes: Mapping[str, Mapping[str, str]]
    taken_ms: Mapping[str, Mapping[str, float]]


def first_answers(contenders: Sequence[Contender], floor: Contender) -> FirstAnswers:
    """Everybody's answers compared with the floor's; it also warms everybody's caches."""
    expected = {query.name: floor.ask(fresh(query)).rows for query in QUERIES}
    outcomes: dict[str, dict[str, str]] = {}
    taken_ms: dict[str, dict[str, float]] = {}
    for contender in contenders:
        own = outcomes.setdefault(contender.name, {})
        for query in QUERIES:
            try:
                answer = contender.ask(fresh(query))
            except AskFailed as error:
                own[query.name] = f"failed: {error}"
                continue
            taken_ms.setdefault(contender.name, {})[query.name] = answer.taken_ms
            equal = _is_right(query, answer.rows, expected[query.name], floor)
            own[query.name] = "equal" if equal else "DIFFERENT"
        say(f"{contender.name}: {_summary(own)}")
        contender.settle()
    return FirstAnswers(outcomes=outcomes, taken_ms=taken_ms)


def _summary(outcomes: Mapping[str, str]) -> str:
    wrong = [f"{name}: {outcome}" for name, outcome in outcomes.items() if outcome != "equal"]
    return "; ".join(wrong) or f"all {len(outcomes)} answers equal the memory table's"


def _is_right(query: Query, rows: Rows, expected: Rows, floor: Contender) -> bool:
    if not query.any_rows_check:
        return same_rows(rows, expected)
    ids = ", ".join(f"'{row[0]}'" for row in rows)
    known = floor.ask(query.any_rows_check.replace("{ids}", ids)).rows
    return len(rows) == len(expected) and same_rows(_sorted(rows), _sorted(known))


def _sorted(rows: Rows) -> Rows:
    return sorted(rows, key=str)


def warm_times(
    contenders: Sequence[Contender], plan: Plan, first: FirstAnswers
) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Milliseconds by contender and query; every text is new, all data was read before.

    One that keeps nothing is not made to repeat what takes it seconds: its first time counts.
    """
    found: dict[str, dict[str, list[float]]] = {one.name: {} for one in contenders}
    for contender in contenders:
        for name, taken_ms in first.taken_ms.get(contender.name, {}).items():
            if not contender.keeps and taken_ms > _SLOW_MS:
                found[contender.name][name] = [taken_ms]
    for query in QUERIES:
        for _ in range(plan.rounds):
            for contender in contenders:
                taken = found[contender.name].setdefault(query.name, [])
                # What takes seconds has little noise to average away.
                if taken and min(taken) > _SLOW_MS:
                    continue
                taken.extend(_block(contender, query, plan.block_s))
        say(f"warm {query.name}")
    return found


def _block(contender: Contender, query: Query, seconds: float) -> list[float]:
    """A block of calls at a stretch: the first pays for what others left in the processor."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while not taken or (len(taken) < _BLOCK_CALLS and time.perf_counter() < until):
        try:
            taken.append(contender.ask(fresh(query)).taken_ms)
        except AskFailed:
            break
    return taken


def repeated_times(endpoint: Contender, *, calls: int = 40) -> Mapping[str, Sequence[Answer]]:
    """Answers of the endpoint to texts that it has answered just before."""
    found: dict[str, Sequence[Answer]] = {}
    for query in QUERIES:
        sql = fresh(query)
        endpoint.ask(sql)
        found[query.name] = [endpoint.ask(sql) for _ in range(calls)]
    return found


def cold_times(
    contenders: Sequence[Contender], location: LakeLocation, plan: Plan
) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Milliseconds of the first query of a fresh process with empty caches."""
    found: dict[str, dict[str, list[float]]] = {one.name: {} for one in contenders}
    for name, samples in plan.cold:
        for _ in range(samples):
            for contender in contenders:
                taken_ms = _cold(contender, location, BY_NAME[name])
                if taken_ms is not None:
                    found[contender.name].setdefault(name, []).append(taken_ms)
        say(f"cold {name}")
    return found


def _cold(contender: Contender, location: LakeLocation, query: Query) -> float | None:
    try:
        contender.start(location)
        return contender.ask(fresh(query)).taken_ms
    except (PeerMissing, AskFailed) as error:
        say(f"{contender.name}, cold {query.name}: {error}")
        return None
    finally:
        contender.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyClients:
    """One contender under several clients, each asking the light mix without a pause."""

    clients: int
    seconds: float
    taken: Mapping[str, Sequence[float]]
    failures: Sequence[str]


def many_clients(
    contenders: Sequence[Contender], plan: Plan
) -> Mapping[str, Sequence[ManyClients]]:
    """By contender, one result per number of clients."""
    found: dict[str, list[ManyClients]] = {one.name: [] for one in contenders}
    for clients in plan.clients:
        for contender in contenders:
            try:
                found[contender.name].append(_load(contender, clients, plan.load_s))
            except AskFailed as error:
                say(f"{contender.name}, {clients} clients: {error}")
        say(f"{clients} clients")
    return found


def _load(
    contender: Contender, clients: int, seconds: float, *, heavy: int = 0, pause_s: float = 0.0
) -> ManyClients:
    names = [
        *([LIGHT[call % len(LIGHT)] for call in range(_TEXTS_PER_CLIENT)],) * clients,
        *([HEAVY] * _TEXTS_PER_CLIENT,) * heavy,
    ]
    # Clients begin at different places of the mix, so that they do not march in step.
    names = [mix[start % len(LIGHT) :] for start, mix in enumerate(names)]
    texts = [[fresh(BY_NAME[name]) for name in mix] for mix in names]
    pauses_s = [pause_s] * clients + [0.0] * heavy if pause_s else []
    load = contender.load(texts, seconds, pauses_s=pauses_s)
    taken: dict[str, list[float]] = {}
    for client, index, taken_ms in load.taken:
        taken.setdefault(names[client][index], []).append(taken_ms)
    return ManyClients(
        clients=clients, seconds=load.seconds, taken=taken, failures=load.failures[:3]
    )


def beside_a_heavy_scan(
    endpoint: Contender, plan: Plan, *, clients: int = 32
) -> Mapping[str, ManyClients]:
    """The light mix of so many clients: alone, beside full aggregates without end, alone again.

    Clients pause for a second between two calls. Without a pause they would wait for each other
    all the time, and a heavy scan more would not show.
    """
    seconds = 2 * plan.load_s
    return {
        "idle": _load(endpoint, clients, seconds, pause_s=_PAUSE_S),
        "heavy": _load(endpoint, clients, seconds, heavy=1, pause_s=_PAUSE_S),
        "idle again": _load(endpoint, clients, seconds, pause_s=_PAUSE_S),
    }


def one_day_of(
    small: Contender, large: Contender, *, rounds: int = 6
) -> Mapping[str, Sequence[float]]:
    """Milliseconds of one day of a small and of the large lake, in turns."""
    query = BY_NAME["one day"]
    found: dict[str, list[float]] = {"small": [], "large": []}
    for contender in (small, large):
        contender.ask(fresh(query))
        contender.settle()
    for _ in range(rounds):
        found["small"].extend(_block(small, query, 1.0))
        found["large"].extend(_block(large, query, 1.0))
    return found
