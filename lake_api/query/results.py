"""What the engine hands back, and the cache of answers that are still true.

Belongs here: the result of one query, and which results may be given again.
Does not belong here: JSON encoding of rows (`encode`, inside the worker), HTTP shapes.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from lake_api.query.guard import CheckedQuery
from lake_api.query.messages import Compression, FileForm, Form, StoredRows
from lake_assets.catalog import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How new a dataset is: its newest day, when that day was written, from when it is stale."""

    partition: str
    sql_name: str
    newest_day: date | None
    written_at: datetime | None
    stale_from: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The answer to one query, encoded in the worker.

    `rows_json` is a JSON array of arrays. In the other forms it is empty, and `document` is all of
    the CSV or Arrow stream; an Arrow stream has slots for what only the call knows. Of the
    `read_bytes` of stored objects, `fetched_bytes` were not in the object cache.
    """

    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    rows_json: bytes
    row_count: int
    truncated: bool
    freshness: tuple[Freshness, ...]
    warnings: tuple[str, ...]
    stages_ms: Mapping[str, float]
    document: bytes = b""
    read_bytes: int = 0
    fetched_bytes: int = 0
    from_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOrder:
    """A file that is wanted, of a checked query or of a kept result, and what it may take."""

    form: FileForm
    row_cap: int
    byte_cap: int
    timeout_s: float
    agent: str
    checked: CheckedQuery | None = None
    stored: StoredRows | None = None
    compression: Compression = Compression.NONE
    on_start: Callable[[], None] = lambda: None
    """Is called when a worker has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What is known of a file once all of it was written.

    `text_columns` have numbers that JavaScript can't hold exactly; told of kept results only.
    """

    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    row_count: int
    truncated: bool
    text_columns: tuple[int, ...]
    freshness: tuple[Freshness, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReads:
    """What a query would read of one dataset; the days are None when it would read nothing."""

    dataset: Dataset
    first_day: date | None
    last_day: date | None
    objects: int
    size_bytes: int
    cached_objects: int
    cached_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPreview:
    """What a query would read.

    `exact` is false when it would begin with `reads` and go on with older days if these have too
    few rows. `from_memory` says that its answer is kept: nothing would be read.
    """

    reads: tuple[DatasetReads, ...]
    exact: bool
    from_memory: bool
    freshness: tuple[Freshness, ...]
    warnings: tuple[str, ...]
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultKey:
    """What an answer depends on; `objects` is a digest of the ETags of everything read."""

    sql: str
    row_cap: int
    form: Form
    objects: bytes


class ResultCache:
    """Answers by what they depend on, the least recently used dropped beyond a byte budget."""

    def __init__(self, *, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._results: OrderedDict[ResultKey, QueryResult] = OrderedDict()
        self.used_bytes = 0
        """Bytes of all that is kept."""
        self.hits = 0
        """How often an answer was found."""
        self.misses = 0

    def has(self, key: ResultKey) -> bool:
        """Whether the answer is kept; looking does not make it a recent one."""
        return key in self._results

    def get(self, key: ResultKey) -> QueryResult | None:
        """The answer, now the most recently used one."""
        result = self._results.get(key)
        if result is None:
            self.misses += 1
        else:
            self.hits += 1
            self._results.move_to_end(key)
        return result

    def clear(self) -> int:
        """Forget all answers; how many bytes they had."""
        freed, self.used_bytes = self.used_bytes, 0
        self._results.clear()
        return freed

    def put(self, key: ResultKey, result: QueryResult) -> None:
        """Keep an answer; one that would fill more than a tenth of the budget is not kept."""
        size = _size_bytes(key, result)
        if size * 10 > self._budget_bytes:
            return
        old = self._results.pop(key, None)
        if old is not None:
            self.used_bytes -= _size_bytes(key, old)
        self._results[key] = replace(
            result, stages_ms={}, fetched_bytes=0, read_bytes=0, from_memory=True
        )
        self.used_bytes += size
        while self.used_bytes > self._budget_bytes:
            dropped_key, dropped = self._results.popitem(last=False)
            self.used_bytes -= _size_bytes(dropped_key, dropped)


def _size_bytes(key: ResultKey, result: QueryResult) -> int:
    # 2 kB stand for the objects around the text and the rows.
    return len(result.rows_json) + len(result.document) + 2 * len(key.sql) + 2_000
