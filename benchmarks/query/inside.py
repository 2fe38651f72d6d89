"""What happens inside our process: the guard's and the plan's times, and each stage of the engine.

Belongs here: timing parts without HTTP.
Does not belong here: comparisons with others (`measure`).
"""

import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from benchmarks.query.lake import NEWEST_DAY, bench_catalog
from benchmarks.query.measure import fresh
from benchmarks.query.queries import QUERIES, Query
from lake_api.query.engine import QueryEngine
from lake_api.query.guard import Guard
from lake_api.query.plan import prune_days, rows_wanted
from lake_api.settings import Settings
from lake_assets.catalog import LakeLocation, load_catalog

_CORPUS = Path(__file__).parents[2] / "tests" / "fixtures" / "guard" / "allowed.sql"
_HEADER = re.compile(r"^-- query: .+\n", re.MULTILINE)
_CHARACTER = re.compile(r"<U\+([0-9A-F]{4,6})>")
_DAYS = 1_000
_PASSES = 3
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTimes:
    """Milliseconds per text of the corpus: the guard alone, and with the plan of 1,000 days."""

    texts: int
    first_guard: Sequence[float]
    first_both: Sequence[float]
    again_guard: Sequence[float]
    again_both: Sequence[float]


def guard_times() -> GuardTimes:
    """Over the corpus of honest queries, the best of some passes for each text.

    (The best, because a pause of the machine in one text says nothing about that text.)
    """
    texts = [
        _CHARACTER.sub(lambda match: chr(int(match.group(1), 16)), text.removesuffix("\n"))
        for text in _HEADER.split(_CORPUS.read_text(encoding="utf-8"))[1:]
    ]
    days = [NEWEST_DAY - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
    best: dict[str, list[float]] = {}
    for _ in range(_PASSES):
        guard = Guard(load_catalog())
        # Again at once: the guard remembers fewer texts than the corpus may have.
        pairs = [(_one(guard, sql, days), _one(guard, sql, days)) for sql in texts]
        for kind, times in zip(("first", "again"), zip(*pairs, strict=True), strict=True):
            for index, name in enumerate((f"{kind}_guard", f"{kind}_both")):
                taken = [one[index] for one in times]
                before = best.get(name, taken)
                best[name] = [min(pair) for pair in zip(before, taken, strict=True)]
    return GuardTimes(texts=len(texts), **best)


def _one(guard: Guard, sql: str, days: Sequence[date]) -> tuple[float, float]:
    started = time.perf_counter()
    checked = guard.check(sql)
    guarded = time.perf_counter()
    for dataset in checked.datasets:
        prune_days(checked, dataset, days)
    rows_wanted(checked, row_cap=100)
    planned = time.perf_counter()
    return (guarded - started) * 1_000, (planned - started) * 1_000


def stage_times(
    location: LakeLocation, directory: Path, *, calls: int = 12
) -> Mapping[str, Mapping[str, float]]:
    """Median milliseconds of each stage by query, warm and with new texts; also `cold`."""
    return asyncio.run(_stage_times(location, directory, calls))


async def _stage_times(
    location: LakeLocation, directory: Path, calls: int
) -> Mapping[str, Mapping[str, float]]:
    catalog = bench_catalog()
    guard = Guard(catalog)
    found: dict[str, Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=directory, prefix="cache-") as cache:
        engine = await QueryEngine.start(
            location=location,
            settings=Settings.from_mapping({"LAKE_CACHE_DIR": cache}),
            catalog=catalog,
        )
        try:
            cold = await _timed(engine, guard, QUERIES[0])
            found[f"{QUERIES[0].name}, cold"] = cold
            for query in QUERIES:
                await _timed(engine, guard, query)
            # Warm is what stays: hot datasets are in segments by then.
            while engine.stats().segments_building:
                await asyncio.sleep(_LOOK_S)
            for query in QUERIES:
                runs = [await _timed(engine, guard, query) for _ in range(calls)]
                found[query.name] = {
                    stage: statistics.median(run.get(stage, 0.0) for run in runs)
                    for stage in runs[0]
                }
        finally:
            await engine.close()
    return found


async def _timed(engine: QueryEngine, guard: Guard, query: Query) -> Mapping[str, float]:
    started = time.perf_counter()
    checked = guard.check(fresh(query))
    guard_ms = (time.perf_counter() - started) * 1_000
    result = await engine.run(checked, limit=1_000)
    total_ms = (time.perf_counter() - started) * 1_000
    return {"guard": guard_ms, **result.stages_ms, "total": total_ms}
