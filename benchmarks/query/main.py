"""`python -m benchmarks query`: the whole measurement of the read side.

Belongs here: options, the order of the steps, the JSON file.
Does not belong here: how a step is done.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.query import bars, measure, report
from benchmarks.query.contender import AskFailed, Contender
from benchmarks.query.contenders import peers
from benchmarks.query.counting_proxy import counting
from benchmarks.query.embedded import Floor
from benchmarks.query.inside import guard_times, stage_times
from benchmarks.query.lake import BenchLake, LakeSpec, serve_lake
from benchmarks.query.measure import Plan, say
from benchmarks.query.over_http import Endpoint
from benchmarks.query.queries import BY_NAME, HEAVY, QUERIES
from benchmarks.query.venvs import PeerMissing
from lake_assets.catalog import LakeLocation

_ROOT = Path(__file__).parents[2]
_DIRECTORY = _ROOT / ".lake" / "bench"
_SMALL_DAYS = 36
_DEFAULT_DAYS = (1_000, 3_650)

_FULL = Plan(
    rounds=3,
    block_s=0.4,
    cold=((HEAVY, 2), ("one day", 1), ("top n, join", 1), ("LIMIT 50", 1)),
    load_s=2.0,
    clients=(1, 8, 32),
    peers_counted=("one day", HEAVY),
)
# What takes a peer a minute is asked less often.
_LARGE = replace(
    _FULL,
    rounds=2,
    cold=((HEAVY, 1), ("one day", 1)),
    clients=(),
    peers_counted=("one day",),
)
_QUICK = Plan(
    rounds=1, block_s=0.2, cold=((HEAVY, 1),), load_s=1.0, clients=(1, 8), peers_counted=(HEAVY,)
)


def main(arguments: Sequence[str]) -> int:
    """Measure, show, write the file; 1 when a bar is missed."""
    options = _parser().parse_args(arguments)
    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    missed = 0
    for days in options.days or _DEFAULT_DAYS:
        plan = _QUICK if options.quick else _LARGE if days > 1_000 else _FULL
        results = _Run(options, plan, days).measure()
        missed += sum(bar["passed"] is False for bar in results["bars"])
        path = _DIRECTORY / f"query-{days}.json"
        path.write_text(json.dumps(results, indent=1, default=str), encoding="utf-8")
        print(f"Written: {path.relative_to(_ROOT)}")
    return 1 if missed and options.strict else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks query", description=__doc__)
    parser.add_argument(
        "--days",
        type=int,
        action="append",
        help="days of the lake; may be given several times (default: 1000, then 3650)",
    )
    parser.add_argument("--quick", action="store_true", help="few samples: does it work at all")
    parser.add_argument("--no-peers", action="store_true", help="our endpoint and the floor only")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a bar is missed")
    return parser


class _Run:
    """One lake, measured."""

    def __init__(self, options: argparse.Namespace, plan: Plan, days: int) -> None:
        self._plan = plan
        self._days = days
        self._endpoint = Endpoint(_DIRECTORY)
        self._floor = Floor(_DIRECTORY)
        self._peers: list[Contender] = [] if options.no_peers else list(peers(_DIRECTORY))
        self._missing: dict[str, str] = {"all peers": "--no-peers"} if options.no_peers else {}

    def measure(self) -> dict[str, Any]:
        """Every step, in order; what was found."""
        started = time.perf_counter()
        print(f"\nThe lake of {self._days} days")
        self._prepare()
        with serve_lake(LakeSpec(days=self._days), _DIRECTORY) as lake:
            built = "kept" if lake.build_s is None else f"written in {lake.build_s:.0f} s"
            say(f"{lake.objects} objects, {lake.size_bytes / 1e6:.0f} MB, {built}")
            found = self._measure(lake)
        found["seconds"] = time.perf_counter() - started
        print(f"Measured in {found['seconds']:.0f} s. Machine: {found['machine']}")
        for name, reason in self._missing.items():
            print(f"MISSING, not measured: {name}: {reason}")
        return found

    def _prepare(self) -> None:
        for peer in list(self._peers):
            with self._or_missing(peer):
                peer.prepare()

    @contextmanager
    def _or_missing(self, peer: Contender) -> Generator[None]:
        try:
            yield
        except (PeerMissing, AskFailed) as error:
            say(f"{peer.name} is missing: {error}")
            self._missing[peer.name] = str(error)
            if peer in self._peers:
                self._peers.remove(peer)

    def _measure(self, lake: BenchLake) -> dict[str, Any]:
        location = lake.server.reader
        guard = guard_times()
        stages = stage_times(location, _DIRECTORY)
        requests = self._count_requests(location)
        cold = measure.cold_times([self._endpoint, *self._peers], location, self._plan)
        with ExitStack() as stack:
            for one in (self._floor, self._endpoint, *list(self._peers)):
                stack.callback(one.stop)
                if one in self._peers:
                    with self._or_missing(one):
                        one.start(location)
                else:
                    one.start(location)
            everyone = [self._endpoint, *self._peers, self._floor]
            first = measure.first_answers(everyone[:-1], self._floor)
            warm = measure.warm_times(everyone, self._plan, first)
            repeated = measure.repeated_times(self._endpoint)
            clients = measure.many_clients(everyone, self._plan)
            for peer in self._peers:
                peer.stop()
            beside = measure.beside_a_heavy_scan(self._endpoint, self._plan)
            days = self._one_day()
        server_ms = {
            name: [answer.server_ms or 0.0 for answer in answers]
            for name, answers in repeated.items()
        }
        peer_names = [peer.name for peer in self._peers]
        ours = self._endpoint.name
        judged = [
            *bars.right_bars(first.outcomes),
            *bars.warm_bars(warm, ours=ours, floor=self._floor.name, peers=peer_names),
            bars.repeated_bar(server_ms),
            *bars.cold_bars(cold, ours=ours, peers=peer_names),
            *bars.request_bars(
                Counter(requests[ours]["one day, cold"])
                + Counter(requests[ours][f"{HEAVY}, cold"]),
                requests[ours]["all queries, warm"],
                objects=self._days,
                keys=self._days + 1,
            ),
            bars.one_day_bar(days, small=_SMALL_DAYS, large=self._days),
            bars.fairness_bar(beside),
            *bars.guard_bars(guard),
            *(
                bars.Bar(name=f"peer {name}", measured=reason, wanted="measured", passed=None)
                for name, reason in self._missing.items()
            ),
        ]
        names = [query.name for query in QUERIES]
        report.show_times("Warm, one client, new texts (p50 / p99 ms)", warm, names)
        report.show_times(
            "Cold: first query of a fresh process, caches empty (p50 / p99 ms)",
            cold,
            [name for name, _ in self._plan.cold],
        )
        report.show_times(
            "Repeated texts (p50 / p99 ms)",
            {
                "over HTTP": {
                    name: [one.taken_ms for one in answers] for name, answers in repeated.items()
                },
                "server time": server_ms,
            },
            names,
        )
        if self._plan.clients:
            report.show_clients(clients)
        report.show_requests(requests)
        report.show_stages(stages)
        report.show_bars(judged)
        return {
            "machine": _machine(),
            "days": self._days,
            "lake": {"objects": lake.objects, "bytes": lake.size_bytes, "build_s": lake.build_s},
            "plan": dataclasses.asdict(self._plan),
            "missing": self._missing,
            "bars": [dataclasses.asdict(bar) for bar in judged],
            "answers": first.outcomes,
            "warm_ms": warm,
            "cold_ms": cold,
            "repeated_server_ms": server_ms,
            "repeated_http_ms": {
                name: [one.taken_ms for one in answers] for name, answers in repeated.items()
            },
            "clients": {
                name: [dataclasses.asdict(one) for one in results]
                for name, results in clients.items()
            },
            "beside_heavy": {name: dataclasses.asdict(one) for name, one in beside.items()},
            "one_day_ms": days,
            "s3_requests": requests,
            "stages_ms": stages,
            "guard_ms": {
                name: {
                    "p50": statistics.median(values),
                    "p99": bars.percentile(values, 0.99),
                    "max": max(values),
                }
                for name, values in dataclasses.asdict(guard).items()
                if name != "texts"
            },
        }

    def _one_day(self) -> Mapping[str, Sequence[float]]:
        small = Endpoint(_DIRECTORY)
        with serve_lake(LakeSpec(days=_SMALL_DAYS), _DIRECTORY) as lake:
            try:
                small.start(lake.server.reader)
                return measure.one_day_of(small, self._endpoint)
            finally:
                small.stop()

    def _counted(self, one: Contender) -> Sequence[str]:
        return ("one day", HEAVY) if one is self._endpoint else self._plan.peers_counted

    def _count_requests(
        self, location: LakeLocation
    ) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        found: dict[str, dict[str, Mapping[str, int]]] = {}
        with counting(urlsplit(location.endpoint).port or 80) as proxy:
            through = replace(location, endpoint=f"http://127.0.0.1:{proxy.port}")
            for one in (self._endpoint, *list(self._peers)):
                counts = found.setdefault(one.name, {})
                try:
                    with self._or_missing(one):
                        one.start(through)
                        proxy.take()
                        for name in self._counted(one):
                            one.ask(measure.fresh(BY_NAME[name]))
                            counts[f"{name}, cold"] = proxy.take()
                            one.ask(measure.fresh(BY_NAME[name]))
                            counts[f"{name}, warm"] = proxy.take()
                        if one is self._endpoint:
                            _ask_all(one)
                            proxy.take()
                            _ask_all(one)
                            counts["all queries, warm"] = proxy.take()
                finally:
                    one.stop()
        say("S3 requests counted")
        return found


def _ask_all(one: Contender) -> None:
    for query in QUERIES:
        one.ask(measure.fresh(query))


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return (
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load average {load}, commit {commit or '?'}, {now}"
    )
