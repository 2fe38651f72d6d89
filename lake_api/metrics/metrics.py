"""The metrics: names, labels, buckets, and what a call adds to them.

Belongs here: everything that Prometheus sees.
Does not belong here: the route (`controller`); measuring (`query.call_log`, the engine).

No label names an agent or a text: their number has no bound, and who may read metrics may not be
who may read those. Datasets are named by their age only: the catalogue bounds their number.
"""

from collections.abc import Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from lake_api.query.call_log import Outcome, QueryCall
from lake_api.query.stats import EngineStats

_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_MAX_NAMES = 64
_OTHER = "other"


# When a series began is of no use, and doubles their number.
disable_created_metrics()


class QueryMetrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "lake_query_seconds",
            "Seconds from taking up a query call to its answer, by how it ended.",
            ["outcome"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "lake_query_stage_seconds",
            "Seconds that each stage of a query took.",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._refused = Counter(
            "lake_queries_refused",
            "Query calls that were not answered with rows or a plan, by code.",
            ["outcome", "code"],
            registry=self._registry,
        )
        self._answers = Histogram(
            "lake_http_seconds",
            "Seconds until an answer began, by route and status.",
            ["method", "route", "status"],
            buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10, 60),
            registry=self._registry,
        )
        self._tool_calls = Counter(
            "lake_mcp_tool_calls",
            "Calls of tools over MCP.",
            ["tool", "outcome"],
            registry=self._registry,
        )
        self._answer_bytes = Counter(
            "lake_query_answer_bytes", "Bytes of answers.", registry=self._registry
        )
        for outcome in Outcome:
            self._seconds.labels(outcome.value)
        # Looked up once: finding a child by its labels costs more than counting in it.
        self._stages: dict[str, Histogram] = {}
        self._codes: set[str] = set()
        self._engine = _EngineCollector()
        self._registry.register(self._engine)
        ProcessCollector(registry=self._registry)

    def observe(self, call: QueryCall) -> None:
        """Count a call that is over."""
        if call.is_taken_up:
            self._seconds.labels(call.outcome.value).observe(call.elapsed_ms / 1_000)
        for name, taken_ms in call.stages_ms.items():
            self._stage(name).observe(max(0.0, taken_ms) / 1_000)
        if call.code is not None:
            self._refused.labels(call.outcome.value, self._bounded(call.code)).inc()
        self._answer_bytes.inc(call.answer_bytes)

    def observe_answer(self, method: str, route: str, status: int, elapsed_s: float) -> None:
        """Count an answer; `route` is a template, of which there are as many as routes."""
        known = method if method in _METHODS else _OTHER
        self._answers.labels(known, route, str(status)).observe(elapsed_s)

    def observe_tool(self, tool: str, *, failed: bool) -> None:
        """Count a call of a declared tool."""
        self._tool_calls.labels(tool, "failed" if failed else "ok").inc()

    def text(self, stats: EngineStats, now: Sequence[Metric] = ()) -> bytes:
        """Everything, in Prometheus' text format; `now` is what was measured for this answer."""
        self._engine.stats = stats
        self._engine.now = now
        return generate_latest(self._registry)

    def _stage(self, name: str) -> Histogram:
        child = self._stages.get(name)
        if child is None:
            if len(self._stages) >= _MAX_NAMES:
                name = _OTHER
            child = self._stages[name] = self._stage_seconds.labels(name)
        return child

    def _bounded(self, code: str) -> str:
        # Some codes come from a worker, which is not trusted: it must not fill the memory.
        if code not in self._codes and len(self._codes) >= _MAX_NAMES:
            return _OTHER
        self._codes.add(code)
        return code


class _EngineCollector(Collector):
    """The engine's numbers, as of the last time that they were set."""

    def __init__(self) -> None:
        self.stats: EngineStats | None = None
        self.now: Sequence[Metric] = ()

    def collect(self) -> Iterator[Metric]:
        yield from self.now
        stats = self.stats
        if stats is None:
            return
        for name, meaning, value in (
            ("lake_workers", "Worker processes that should live.", stats.workers),
            ("lake_workers_alive", "Worker processes that live.", stats.workers_alive),
            ("lake_workers_busy", "Worker processes that run a query.", stats.workers_busy),
            ("lake_query_queue_length", "Queries that wait for a worker.", stats.queue_length),
            ("lake_object_cache_bytes", "Bytes in the object cache.", stats.cache_bytes),
            (
                "lake_object_cache_budget_bytes",
                "Bytes that the object cache may have.",
                stats.cache_budget_bytes,
            ),
            ("lake_answer_cache_bytes", "Bytes of answers that are kept.", stats.answers_bytes),
            ("lake_segment_bytes", "Bytes in the engine's own format.", stats.segment_bytes),
            ("lake_segments_building", "Segments being built.", stats.segments_building),
        ):
            yield GaugeMetricFamily(name, meaning, value=value)
        for name, meaning, count in (
            ("lake_worker_respawns", "Workers that replaced a lost one.", stats.worker_respawns),
            ("lake_object_cache_hits", "Needed objects that were cached.", stats.cache_hits),
            ("lake_object_cache_misses", "Needed objects that were fetched.", stats.cache_misses),
            ("lake_object_cache_damaged", "Cached files found damaged.", stats.cache_damaged),
            ("lake_fetched_bytes", "Bytes fetched from storage.", stats.cache_fetched_bytes),
            ("lake_answer_cache_hits", "Queries that were answered again.", stats.answers_hits),
            ("lake_answer_cache_misses", "Queries that were not.", stats.answers_misses),
            ("lake_segment_builds", "Segments built.", stats.segment_builds),
        ):
            yield CounterMetricFamily(name, meaning, value=count)
