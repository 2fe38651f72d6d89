"""The query engine: from a checked query to its rows.

Belongs here: the order of the steps, and what is tried again.
Does not belong here: how a step works (`snapshot`, `plan`, `stored_rows`, `pool`), HTTP.

    snapshot → plan → result cache → fetch and pin → worker → answer
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from lake_api.doors import START_JOB
from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query.cache_slot import CacheSlot
from lake_api.query.cached_files import ObjectChanged
from lake_api.query.documents import arrow_metadata
from lake_api.query.file_book import Part
from lake_api.query.guard import CheckedQuery
from lake_api.query.messages import (
    Answer,
    Chunk,
    Extraction,
    Form,
    Job,
    PageRead,
    StoredRows,
    View,
)
from lake_api.query.plan import rows_wanted, wants_first_rows
from lake_api.query.pool import PoolLimits, WorkerPool
from lake_api.query.query_run import (
    Planner,
    QueryRun,
    Stages,
    before_deadline,
    freshness_of_parts,
    newest_days,
    result_key,
)
from lake_api.query.reader_store import open_small, storage_unavailable
from lake_api.query.results import (
    Extract,
    ExtractOrder,
    QueryPreview,
    QueryResult,
    ResultCache,
)
from lake_api.query.snapshot import Look, Snapshot, SnapshotStore
from lake_api.query.snapshot_files import SnapshotFiles
from lake_api.query.stats import EngineStats
from lake_api.query.stored_rows import FilesDamaged, StoredRowFiles
from lake_api.query.value_filters import value_filters
from lake_api.settings import Settings
from lake_assets.catalog import Catalog, Dataset, LakeLocation, version_key

MAX_ROWS = 1_000
"""Rows that any answer has at most."""

_LOOKS = 4
_FIRST_DAYS = 4
_MORE_DAYS_FACTOR = 8


class QueryEngine:
    """Runs checked queries; one per process. Made by `start`, ended by `close`."""

    def __init__(
        self, *, location: LakeLocation, settings: Settings, catalog: Catalog, slot: CacheSlot
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._slot = slot
        self._small: S3Store = open_small(location)
        self._snapshots = SnapshotStore(
            self._small,
            check_s=settings.snapshot_check_s,
            relist_s=settings.snapshot_relist_s,
            files=SnapshotFiles(slot.snapshots, lake=f"{location.endpoint}/{location.bucket}"),
        )
        self._planner = Planner()
        self._mending = asyncio.Lock()
        self._files = StoredRowFiles(location=location, settings=settings, slot=slot)
        self._results = ResultCache(budget_bytes=settings.result_cache_bytes)
        self._pool = WorkerPool(
            limits=PoolLimits(
                workers=settings.query_workers,
                heavy_workers=settings.heavy_workers,
                threads=settings.query_threads,
                memory_bytes=settings.query_memory_bytes,
                address_space_bytes=settings.query_address_space_bytes,
                grace_s=settings.query_grace_s,
                queue=settings.query_queue,
                agent_concurrency=settings.agent_concurrency,
                heavy_after_s=settings.heavy_after_s,
            ),
            objects_dir=slot.data,
            engine_dir=slot.engine,
        )

    @classmethod
    async def start(
        cls, *, location: LakeLocation, settings: Settings, catalog: Catalog
    ) -> "QueryEngine":
        """An engine whose workers have proved that they are locked.

        Storage need not answer yet: queries say so as long as it does not.

        Raises:
            WorkerFailed: a worker could not prove it.
        """
        slot = await asyncio.to_thread(CacheSlot, settings.cache_path)
        try:
            engine = cls(location=location, settings=settings, catalog=catalog, slot=slot)
            await engine._pool.start()
        except BaseException:
            slot.release()
            raise
        engine._snapshots.start()
        engine._files.start()
        return engine

    async def close(self) -> None:
        """End the workers and the background work."""
        await self._snapshots.close()
        await self._pool.close()
        await self._files.close()
        self._slot.release()

    async def status(self) -> Mapping[str, bool]:
        """Whether storage answers, a worker serves, and the cache can take what queries need."""
        return {
            "storage": await self._storage_answers(),
            "workers": self._pool.is_ready,
            "cache": await self._files.objects.is_writable(),
        }

    def stats(self) -> EngineStats:
        """How its parts are doing."""
        objects, segments = self._files.objects, self._files.segments
        return EngineStats(
            workers=self._settings.query_workers + self._settings.heavy_workers,
            workers_alive=self._pool.alive,
            workers_busy=self._pool.busy,
            worker_respawns=self._pool.respawns,
            queue_length=self._pool.waiting,
            cache_bytes=objects.used_bytes,
            cache_budget_bytes=objects.budget_bytes,
            cache_hits=objects.asked - objects.fetches,
            cache_misses=objects.fetches,
            cache_fetched_bytes=objects.fetched_bytes,
            cache_damaged=objects.damaged,
            answers_bytes=self._results.used_bytes,
            answers_hits=self._results.hits,
            answers_misses=self._results.misses,
            segment_bytes=segments.used_bytes,
            segment_builds=segments.builds,
            segments_building=int(segments.is_building),
        )

    async def snapshots(
        self, datasets: Sequence[Dataset], *, max_age_s: float
    ) -> Sequence[Snapshot]:
        """What is stored of each dataset, for telling about them; nothing is kept fresh for it.

        Raises:
            QueryUnavailable: storage does not answer.
        """
        deadline = time.monotonic() + self._settings.query_timeout_s
        looks = (self._snapshots.glance(one, max_age_s=max_age_s) for one in datasets)
        return await before_deadline(deadline, asyncio.gather(*looks))

    async def survey(
        self, datasets: Sequence[Dataset], *, max_age_s: float, wait_s: float
    ) -> Sequence[Look]:
        """What is known of many datasets after at most `wait_s`.

        Raises:
            QueryUnavailable: nothing is known of any, because storage does not answer.
        """
        return await self._snapshots.survey(datasets, max_age_s=max_age_s, wait_s=wait_s)

    async def relist(self, datasets: Sequence[Dataset]) -> int:
        """List datasets anew, whatever their version tokens say; how many days they have.

        Raises:
            QueryUnavailable: storage does not answer.
        """
        return sum(len(one.days) for one in await self._snapshots.look_again_at(datasets))

    def drop_caches(self) -> int:
        """Drop answers, objects and segments that no running query needs; how many bytes."""
        return self._results.clear() + self._files.drop()

    async def recycle_workers(self) -> int:
        """Replace each worker as soon as it is free; how many, once all new ones serve."""
        return await self._pool.recycle()

    async def _storage_answers(self) -> bool:
        for dataset in self._catalog:
            try:
                await obstore.head_async(self._small, version_key(dataset))
            except FileNotFoundError:
                return True
            except BaseError:
                return False
            return True
        return True

    async def run(
        self,
        checked: CheckedQuery,
        *,
        limit: int,
        timeout_s: float | None = None,
        agent: str = "",
        form: Form = Form.JSON,
    ) -> QueryResult:
        """The rows of a checked query.

        Args:
            checked: What the guard let through.
            limit: Rows at most, unless the text has its own LIMIT; never more than `MAX_ROWS`.
            timeout_s: Seconds that the query may take; the setting when None, and at most that.
            agent: Whose query it is; agents take turns at the workers.
            form: What the rows are written as; the caps are the same, in bytes of that form.

        Raises:
            QueryRejected: the engine refuses the text (unknown column, types, …).
            QueryUnavailable: the query is fine and could not be run.
        """
        query = self._query(checked, limit=limit, timeout_s=timeout_s, agent=agent, form=form)
        try:
            again: Exception | None = None
            for _ in range(_LOOKS):
                try:
                    return await self._run(query)
                except ObjectChanged as changed:
                    again = changed
                    look = self._snapshots.look_again(changed.dataset)
                    await before_deadline(query.deadline, look)
                except FilesDamaged as damaged:
                    again = damaged
            raise _in_vain(again)
        except (QueryRejected, QueryUnavailable) as error:
            query.stages.add("failed")
            error.stages_ms = query.stages.taken_ms
            raise

    @property
    def kept_directory(self) -> Path:
        """Where files of kept results must be for `extract` and `page`."""
        return self._slot.kept

    async def extract(
        self, order: ExtractOrder, *, write: Callable[[Chunk], Awaitable[None]]
    ) -> Extract:
        """Stream the rows of a checked query, or of a kept result, as one file.

        It is a heavy query whatever it reads, and takes as long as its own deadline says.

        Args:
            order: What is wanted.
            write: Takes the next bytes; the engine waits for it.

        Raises:
            QueryRejected: the engine refuses the text.
            QueryUnavailable: it is fine and could not be run.
        """
        deadline = time.monotonic() + order.timeout_s
        is_begun = False

        async def begin(chunk: Chunk) -> None:
            nonlocal is_begun
            is_begun = True
            await write(chunk)

        again: Exception | None = None
        for _ in range(_LOOKS):
            try:
                return await self._extract(order, deadline, begin)
            except ObjectChanged as changed:
                again = changed
                await before_deadline(deadline, self._snapshots.look_again(changed.dataset))
            except FilesDamaged as damaged:
                again = damaged
                if is_begun:
                    # What was written can't be taken back: whoever asked begins a new file.
                    break
        raise _in_vain(again)

    async def _extract(
        self,
        order: ExtractOrder,
        deadline: float,
        write: Callable[[Chunk], Awaitable[None]],
    ) -> Extract:
        checked = order.checked
        snapshots = await before_deadline(deadline, self._look(checked.datasets if checked else ()))
        parts = [self._planner.part(checked, snapshot) for snapshot in snapshots] if checked else []
        await self._mend_slot()
        async with self._files.held(parts, deadline=deadline) as held:
            views = held.views()
            streamed = await self._pool.stream(
                lambda work_id: Extraction(
                    id=work_id,
                    form=order.form,
                    compression=order.compression,
                    row_cap=order.row_cap,
                    byte_cap=order.byte_cap,
                    sql=checked.sql if checked else "",
                    views=views,
                    stored=order.stored,
                ),
                agent=order.agent,
                deadline=deadline,
                on_start=order.on_start,
                on_chunk=write,
                on_facts=self._files.learn,
            )
            warnings = held.warnings()
        end = streamed.end
        return Extract(
            columns=end.columns,
            column_types=end.column_types,
            row_count=end.row_count,
            truncated=end.truncated,
            text_columns=end.text_columns,
            freshness=freshness_of_parts(parts),
            warnings=(*warnings, *end.warnings),
        )

    async def page(
        self,
        stored: StoredRows,
        *,
        first_row: int,
        rows: int,
        byte_cap: int,
        text_columns: tuple[int, ...] = (),
        agent: str = "",
    ) -> Answer:
        """Some rows of a kept result, as JSON; fewer when they have more bytes than the cap.

        Raises:
            QueryUnavailable: it could not be read.
        """
        ran = await self._pool.run(
            lambda work_id: PageRead(
                id=work_id,
                stored=stored,
                first_row=first_row,
                rows=rows,
                byte_cap=byte_cap,
                text_columns=text_columns,
            ),
            agent=agent,
            deadline=time.monotonic() + self._settings.query_timeout_s,
            heavy=False,
            on_facts=self._files.learn,
        )
        return ran.answer

    async def preview(
        self, checked: CheckedQuery, *, limit: int, timeout_s: float | None = None, agent: str = ""
    ) -> QueryPreview:
        """What `run` would read, without reading it. A query that it would refuse is refused.

        The text is bound over views of the declared columns, which need no object.

        Raises:
            QueryRejected: the engine refuses the text.
            QueryUnavailable: storage or workers are away, or the objects are too large together.
        """
        query = self._query(checked, limit=limit, timeout_s=timeout_s, agent=agent, form=Form.JSON)
        parts = await self._parts(query)
        key = None if checked.volatile else result_key(query, parts)
        from_memory = key is not None and self._results.has(key)
        first, exact = parts, True
        if rows_wanted(checked, row_cap=query.row_cap) is not None:
            first = [newest_days(part, _FIRST_DAYS) for part in parts]
            exact = all(len(part.wanted) <= _FIRST_DAYS for part in parts)
        self._files.check_fit(first)
        query.stages.add("plan")
        if not from_memory:
            views = tuple(map(self._files.bare_view, parts))
            await self._ask_worker(query, parts, views, bind_only=True)
        return QueryPreview(
            reads=tuple(map(self._files.reads, first)),
            exact=exact,
            from_memory=from_memory,
            freshness=freshness_of_parts(parts),
            warnings=self._files.day_warnings(parts),
            stages_ms=query.stages.taken_ms,
        )

    def _query(
        self,
        checked: CheckedQuery,
        *,
        limit: int,
        timeout_s: float | None,
        agent: str,
        form: Form,
    ) -> QueryRun:
        ceiling_s = self._settings.query_timeout_s
        return QueryRun(
            checked=checked,
            row_cap=MAX_ROWS if checked.has_limit else max(1, min(limit, MAX_ROWS)),
            deadline=time.monotonic() + min(timeout_s or ceiling_s, ceiling_s),
            agent=agent,
            form=form,
            stages=Stages(),
        )

    async def _run(self, query: QueryRun) -> QueryResult:
        parts = await self._parts(query)
        key = None if query.checked.volatile else result_key(query, parts)
        query.stages.add("plan")
        known = self._results.get(key) if key is not None else None
        if known is not None:
            return replace(
                known, freshness=freshness_of_parts(parts), stages_ms=query.stages.taken_ms
            )
        result = await self._read_enough(query, parts)
        if key is not None:
            self._results.put(key, result)
        return result

    async def _parts(self, query: QueryRun) -> list[Part]:
        snapshots = await before_deadline(query.deadline, self._look(query.checked.datasets))
        query.stages.add("snapshot")
        return [self._planner.part(query.checked, snapshot) for snapshot in snapshots]

    async def _look(self, datasets: Sequence[Dataset]) -> list[Snapshot]:
        return list(await asyncio.gather(*(self._snapshots.get(one) for one in datasets)))

    async def _read_enough(self, query: QueryRun, parts: Sequence[Part]) -> QueryResult:
        """The answer; one that any rows will do for reads the newest days, and more if needed."""
        enough = rows_wanted(query.checked, row_cap=query.row_cap)
        if enough is None:
            return await self._read(query, parts)
        count = _FIRST_DAYS
        while True:
            result = await self._read(query, [newest_days(part, count) for part in parts])
            is_all = all(len(part.wanted) <= count for part in parts)
            if is_all or result.truncated or result.row_count >= enough:
                return result
            count *= _MORE_DAYS_FACTOR

    async def _mend_slot(self) -> None:
        """Show the workers the cache's folder again, where somebody has removed it."""
        if self._mending.locked() or self._slot.is_replaced:
            async with self._mending:
                if self._slot.is_replaced:
                    await asyncio.to_thread(self._slot.make_folders)
                    await self._pool.recycle()

    async def _read(self, query: QueryRun, parts: Sequence[Part]) -> QueryResult:
        await self._mend_slot()
        async with self._files.held(parts, deadline=query.deadline) as held:
            query.stages.add("fetch")
            known = held.warnings()
            answer = await self._ask_worker(query, parts, held.views(), warnings=known)
            warnings = held.warnings()
            if query.form is Form.ARROW and warnings != known:
                # What the worker has just learned belongs into what it wrote.
                answer = await self._ask_worker(query, parts, held.views(), warnings=warnings)
        self._files.consider_segments(held)
        return QueryResult(
            columns=answer.columns,
            column_types=answer.column_types,
            rows_json=answer.rows_json,
            document=answer.document,
            read_bytes=sum(part.size_bytes for part in parts),
            fetched_bytes=held.fetched_bytes,
            row_count=answer.row_count,
            truncated=answer.truncated,
            freshness=freshness_of_parts(parts),
            warnings=(*warnings, *answer.warnings, *_about_text(query, answer)),
            stages_ms=query.stages.taken_ms,
        )

    def _is_heavy(self, query: QueryRun, parts: Sequence[Part]) -> bool:
        # What takes any rows stops when it has them, however many objects there are.
        enough = rows_wanted(query.checked, row_cap=query.row_cap)
        read_bytes = sum(part.size_bytes for part in parts)
        return enough is None and read_bytes > self._settings.heavy_bytes

    async def _ask_worker(
        self,
        query: QueryRun,
        parts: Sequence[Part],
        views: tuple[View, ...],
        *,
        warnings: tuple[str, ...] = (),
        bind_only: bool = False,
    ) -> Answer:
        checked = query.checked
        filters = () if bind_only else value_filters(checked)
        metadata = arrow_metadata(freshness_of_parts(parts)) if query.form is Form.ARROW else {}
        ran = await self._pool.run(
            lambda job_id: Job(
                id=job_id,
                sql=checked.sql,
                views=views,
                row_cap=query.row_cap,
                byte_cap=self._settings.result_bytes,
                top_n=wants_first_rows(checked),
                bind_only=bind_only,
                form=query.form,
                metadata=metadata,
                warnings=warnings,
                filters=filters,
            ),
            agent=query.agent,
            deadline=query.deadline,
            heavy=not bind_only and self._is_heavy(query, parts),
            on_facts=self._files.learn,
        )
        query.stages.merge(ran)
        return ran.answer


def _about_text(query: QueryRun, answer: Answer) -> tuple[str, ...]:
    """Warnings about the caller's text itself."""
    checked = query.checked
    if not (checked.has_limit and answer.truncated and answer.row_count >= query.row_cap):
        return checked.warnings
    return (
        *checked.warnings,
        f"The LIMIT of the SQL was cut: one answer has at most {query.row_cap:,} rows. "
        f"Aggregate, page with LIMIT and OFFSET over an ORDER BY, or start a job: {START_JOB}.",
    )


def _in_vain(again: Exception | None) -> QueryUnavailable:
    """What is told of a query that had to be begun again too often."""
    if isinstance(again, FilesDamaged):
        return again.as_unavailable()
    # Objects are replaced faster than they can be read.
    return storage_unavailable()
