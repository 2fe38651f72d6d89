"""How the engine is doing, as numbers of the moment.

Belongs here: the shape that the engine tells it in.
Does not belong here: names and kinds of metrics (`lake_api.metrics`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """Sizes are of now; what is counted, since the start."""

    workers: int
    """Worker processes that should live."""
    workers_alive: int
    workers_busy: int
    worker_respawns: int
    """Workers that were started in the place of a lost one."""
    queue_length: int
    """Queries that wait for a worker."""
    cache_bytes: int
    cache_budget_bytes: int
    cache_hits: int
    """Stored objects that queries needed and found in the object cache."""
    cache_misses: int
    cache_fetched_bytes: int
    cache_damaged: int
    """Cached files that were not what they should be, and were removed."""
    answers_bytes: int
    """Memory of the answers that are kept."""
    answers_hits: int
    """Queries that were answered from them."""
    answers_misses: int
    segment_bytes: int
    """Bytes of datasets that are kept in the engine's own format."""
    segment_builds: int
    segments_building: int
