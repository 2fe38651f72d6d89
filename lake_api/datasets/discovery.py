"""Discovery as its callers use it: HTTP routes and tools alike ask here.

Belongs here: each operation from a caller and a name to its answer.
Does not belong here: HTTP (`controller`), what is told (`describe`), which SQL (`sample`,
`profile`).

Rows are read as every other query is: through the guard, over datasets that the caller may read,
by the engine's workers; what they cost is the call's.
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from lake_api.clock import Clock
from lake_api.datasets.calendar import Days
from lake_api.datasets.describe import dataset_info, dataset_line, list_warnings
from lake_api.datasets.profile import (
    covered,
    has_telling_values,
    measure_queries,
    read_measures,
    top_values_queries,
    with_top_values,
)
from lake_api.datasets.profile_store import ProfileStore
from lake_api.datasets.reader import LakeReader
from lake_api.datasets.sample import SampleOrder, sample_queries
from lake_api.datasets.schemas import (
    ColumnProfile,
    DatasetInfo,
    DatasetList,
    DatasetProfile,
    DayRange,
    SampleAnswer,
)
from lake_api.datasets.visible import Visibility, VisibleCatalog
from lake_api.errors import NotFound
from lake_api.identity import Caller, Role
from lake_api.query.call_log import QueryCall
from lake_api.query.guard import Guard
from lake_api.query.results import QueryResult
from lake_api.query.snapshot import Snapshot
from lake_assets.catalog import Dataset

ROUTE = "/api/v1/internal/lake/datasets"
NOT_FOUND = "There is no dataset of this name that you may read."
LIST_THEM = f"GET {ROUTE} lists the datasets that you may read."

_LIST_AGE_S = 5.0
"""How old the list's newest days may be; each dataset that is older costs a small request."""

_LIST_WAIT_S = 5.0
"""How long the list waits for storage: what is not known by then is told as of before."""

_AGE_S = 0.5
_ROWS_READ = 1_000


class Discovery:
    """The operations."""

    def __init__(self, *, visibility: Visibility, guard: Guard, clock: Clock) -> None:
        self._visibility = visibility
        self._guard = guard
        self._clock = clock
        self._profiles = ProfileStore()

    def visible_to(self, caller: Caller) -> VisibleCatalog:
        """What the caller sees of the catalogue."""
        return self._visibility.of(caller.may_read)

    def find(self, caller: Caller, name: str) -> Dataset:
        """The dataset of this partition or SQL name.

        One that the caller may not read and one that does not exist are told alike.

        Raises:
            NotFound: there is none that the caller may read.
        """
        visible = self.visible_to(caller)
        dataset = visible.find(name)
        if dataset is None:
            hint = visible.hint(name, otherwise=LIST_THEM)
            raise NotFound(NOT_FOUND, code="unknown_dataset", hint=hint, field="name")
        return dataset

    async def list(
        self,
        caller: Caller,
        engine: LakeReader,
        *,
        text: str | None = None,
        page: int = 1,
        page_size: int = 100,
    ) -> DatasetList:
        """A page of the caller's datasets, of those with `text` in name or summary.

        Raises:
            QueryUnavailable: storage does not answer.
        """
        visible = self.visible_to(caller)
        found = [one for one in visible.datasets if text is None or _mentions(one, text, visible)]
        shown = found[(page - 1) * page_size : page * page_size]
        looks = await engine.survey(shown, max_age_s=_LIST_AGE_S, wait_s=_LIST_WAIT_S)
        now = self._clock()
        return DatasetList(
            datasets=tuple(
                dataset_line(
                    one,
                    visible,
                    now=now,
                    rows=self._rows_of(one.snapshot) if one.snapshot else None,
                )
                for one in looks
            ),
            total=len(found),
            page=page,
            page_size=page_size,
            warnings=tuple(list_warnings(looks)),
        )

    async def describe(self, caller: Caller, engine: LakeReader, name: str) -> DatasetInfo:
        """Everything about a dataset, but rows.

        Raises:
            NotFound: there is none that the caller may read.
            QueryUnavailable: storage does not answer.
        """
        dataset = self.find(caller, name)
        [snapshot] = await engine.snapshots([dataset], max_age_s=_AGE_S)
        profile = self._profiles.peek(snapshot)
        measured = profile.columns if profile else ()
        return dataset_info(
            snapshot,
            self.visible_to(caller),
            now=self._clock(),
            may_trigger=_may_trigger(caller),
            rows=self._rows_of(snapshot),
            top_values={one.name: one.top_values for one in measured},
        )

    async def sample(
        self, call: QueryCall, engine: LakeReader, name: str, order: SampleOrder
    ) -> SampleAnswer:
        """Some rows of a dataset, for the caller of `call`, which learns what they cost.

        Raises:
            NotFound: there is none that the caller may read.
            QueryUnavailable: they could not be read.
        """
        dataset = self._dataset_of(call, name)
        [snapshot] = await engine.snapshots([dataset], max_age_s=_AGE_S)
        query, *more = sample_queries(snapshot, order)
        result = await self._run(call, engine, query.sql)
        while more and not result.row_count:
            query = more.pop(0)
            result = await self._run(call, engine, query.sql)
        call.rows = result.row_count
        return SampleAnswer(
            partition=dataset.partition,
            sql_name=dataset.sql_name,
            mode=order.mode.value,
            seed=order.seed,
            days=_range(query.days),
            columns=result.columns,
            column_types=result.column_types,
            # The bytes that the worker wrote are copied and never parsed.
            rows=cast("list[list[Any]]", msgspec.Raw(result.rows_json)),
            row_count=result.row_count,
            truncated=result.truncated,
            warnings=result.warnings,
            query_id=call.query_id,
        )

    async def profile(self, call: QueryCall, engine: LakeReader, name: str) -> DatasetProfile:
        """What the columns of a dataset hold, measured once for what is stored.

        Raises:
            NotFound: there is none that the caller may read.
            QueryUnavailable: it could not be measured.
        """
        dataset = self._dataset_of(call, name)
        [snapshot] = await engine.snapshots([dataset], max_age_s=_AGE_S)
        call.from_memory = True
        return await self._profiles.get(snapshot, lambda: self._measure(call, engine, snapshot))

    async def _measure(
        self, call: QueryCall, engine: LakeReader, snapshot: Snapshot
    ) -> DatasetProfile:
        call.from_memory = False
        dataset, partitions = snapshot.dataset, covered(snapshot)
        # Without any day, the same queries count the rows that are not there.
        today = self._clock().date()
        days = Days(
            first=partitions[0].day if partitions else today,
            last=partitions[-1].day if partitions else today,
        )
        rows, measured, warnings = 0, list[ColumnProfile](), dict[str, None]()
        for columns, sql in measure_queries(dataset, days):
            result = await self._run(call, engine, sql)
            rows, found = read_measures(columns, _rows(result)[0])
            measured += found
            warnings.update(dict.fromkeys(result.warnings))
        telling = [
            column
            for column, one in zip(dataset.columns, measured, strict=True)
            if has_telling_values(column, one)
        ]
        counted: list[Sequence[Any]] = []
        for sql in top_values_queries(dataset, telling, days):
            counted += _rows(await self._run(call, engine, sql))
        return DatasetProfile(
            partition=dataset.partition,
            sql_name=dataset.sql_name,
            days=_range(days) if partitions else None,
            day_count=len(partitions),
            is_whole=len(partitions) == len(snapshot.possible(today)),
            rows=rows,
            columns=with_top_values(measured, counted),
            measured_at=self._clock(),
            warnings=tuple(warnings),
        )

    def _rows_of(self, snapshot: Snapshot) -> int | None:
        profile = self._profiles.peek(snapshot)
        return profile.rows if profile and profile.is_whole else None

    def _dataset_of(self, call: QueryCall, name: str) -> Dataset:
        dataset = self.find(_caller_of(call), name)
        call.datasets = (dataset.partition,)
        return dataset

    async def _run(self, call: QueryCall, engine: LakeReader, sql: str) -> QueryResult:
        caller = _caller_of(call)
        call.sql = sql
        checked = self._guard.check(sql, may_read=caller.may_read)
        result = await engine.run(checked, limit=_ROWS_READ, agent=caller.share)
        call.read_bytes += result.read_bytes
        call.fetched_bytes += result.fetched_bytes
        call.stages_ms = {
            stage: call.stages_ms.get(stage, 0.0) + result.stages_ms.get(stage, 0.0)
            for stage in (*call.stages_ms, *result.stages_ms)
        }
        return result


def _caller_of(call: QueryCall) -> Caller:
    if call.caller is None:
        raise ValueError("a call that was not let in reads nothing")
    return call.caller


def _may_trigger(caller: Caller) -> bool:
    is_admin = caller.role is Role.ADMIN
    return is_admin or (caller.token_id is not None and caller.grant.may("trigger"))


def _rows(result: QueryResult) -> list[Sequence[Any]]:
    return msgspec.json.decode(result.rows_json)


def _range(days: Days | None) -> DayRange | None:
    return None if days is None else DayRange(first=days.first, last=days.last)


def _mentions(dataset: Dataset, text: str, visible: VisibleCatalog) -> bool:
    told = (dataset.partition, dataset.sql_name, visible.text(dataset.summary))
    return any(text.lower() in one.lower() for one in told)
