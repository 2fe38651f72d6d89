"""Worker processes, who gets the next free one, and what happens to one that does not stop.

Belongs here: starting, asking, stopping and replacing workers; the fair queue before them.
Does not belong here: what a job is made of (`engine`), what happens inside a worker (`worker`).

Why not `pebble`: its pool starts workers with the environment of its parent, kills at the timeout
without the chance to interrupt first (a respawn for each slow query), and does not let the caller
choose who is next. Here a deadline is an interrupt, then `grace_s`, then SIGKILL and a new
process, started while the others serve.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_api.errors import Position, QueryRejected, QueryUnavailable
from lake_api.query.engine_hints import engine_hint
from lake_api.query.messages import (
    Answer,
    Cancel,
    Chunk,
    Extracted,
    Extraction,
    Failure,
    FileFacts,
    FromWorker,
    Job,
    PageRead,
    Work,
    WorkerConfig,
)
from lake_api.query.refused_texts import RefusedTexts, is_crash, lacked_memory
from lake_api.query.turns import Turns
from lake_api.query.worker_process import WorkerFailed, WorkerProcess
from lake_api.query.yielding import CHECK_S, FIRST_CHECK_S, Run, YieldRule, yielded_in_vain

_RESTART_DELAY_S = 1.0
_LOOK_S = 0.05
# A tenth of the processor's time where a light query wants it, all of it where none does.
_HEAVY_NICENESS = 10
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many workers there are and how much each may use."""

    workers: int
    heavy_workers: int
    threads: int
    memory_bytes: int
    address_space_bytes: int
    grace_s: float
    queue: int
    agent_concurrency: int
    heavy_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A job's answer, how long it waited for a worker, and how long the worker had it."""

    answer: Answer
    queue_ms: float
    worker_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """The end of an extraction, and how long it waited for a worker."""

    end: Extracted
    queue_ms: float


class WorkerPool:
    """A fixed number of workers, each replaced when it is lost."""

    def __init__(self, *, limits: PoolLimits, objects_dir: Path, engine_dir: Path) -> None:
        self._limits = limits
        self._objects_dir = objects_dir
        self._engine_dir = engine_dir
        self._ids = itertools.count(1)
        self._slots = limits.workers + limits.heavy_workers
        self._workers: dict[int, WorkerProcess] = {}
        self._turns: Turns[int] = Turns(
            queue=limits.queue,
            agent_limit=limits.agent_concurrency,
            # One worker stays free of any single agent's heavy queries, where there are several.
            agent_running=max(1, limits.workers - 1),
            heavy_slots=range(limits.workers, self._slots),
            # The last one is for light queries, unless there is no other worker at all.
            heavy_beside=max(limits.workers - 1, 0 if limits.heavy_workers else 1),
        )
        self._yield_rule = YieldRule(
            turns=self._turns,
            heavy_after_s=limits.heavy_after_s,
            only_slot=0 if self._slots == 1 else None,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._outdated: set[WorkerProcess] = set()
        self._closing = False
        self._refused = RefusedTexts()
        self.respawns = 0
        """Workers that were started in the place of a lost one."""

    async def start(self) -> None:
        """Start all workers.

        Raises:
            WorkerFailed: a worker could not prove that it is locked.
        """
        outcomes = await asyncio.gather(
            *(self._start(slot) for slot in range(self._slots)), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self.close()
                raise outcome

    async def close(self) -> None:
        """End all workers."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.kill() for worker in self._workers.values()))
        self._workers.clear()

    async def recycle(self) -> int:
        """Replace each worker as soon as it is free; how many, once all new ones serve.

        Whoever stops waiting for it changes nothing: those that were not free yet follow.
        """
        old = dict(self._workers)
        count = len(old)
        self._outdated.update(old.values())
        while old := {slot: one for slot, one in old.items() if self._workers.get(slot) is one}:
            for slot, worker in old.items():
                if self._turns.withdraw(slot):
                    self._spawn(worker.kill())
            await asyncio.sleep(_LOOK_S)
        return count

    @property
    def is_ready(self) -> bool:
        """Whether a worker lives."""
        return any(worker.is_alive for worker in self._workers.values())

    @property
    def alive(self) -> int:
        """How many workers live."""
        return sum(worker.is_alive for worker in self._workers.values())

    @property
    def busy(self) -> int:
        """How many workers run a query."""
        return self._turns.running

    @property
    def waiting(self) -> int:
        """How many queries wait for a worker."""
        return self._turns.waiting

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return tuple(worker.pid for worker in self._workers.values())

    async def run(
        self,
        make_job: Callable[[int], Job | PageRead],
        *,
        agent: str,
        deadline: float,
        heavy: bool,
        on_facts: Callable[[tuple[FileFacts, ...]], None],
    ) -> Ran:
        """Run a job on the next worker that is the agent's turn.

        Args:
            make_job: Makes the job with the id that it is given.
            agent: Whose turn it is; agents take turns.
            deadline: Seconds of `time.monotonic` at which the job is stopped.
            heavy: Whether it reads so much that light queries must not wait for it.
            on_facts: Takes what the worker learned about new files.

        Raises:
            QueryRejected: the engine refuses the text.
            QueryUnavailable: too busy, timeout, out of memory, worker lost, or engine error.
        """
        queued_at = time.monotonic()
        heavy_runs, longest_s, yields = int(heavy), 0.0, 0
        while True:
            job = make_job(next(self._ids))
            self._refused.check(job)
            try:
                slot = await self._turns.take(agent, deadline=deadline, heavy=heavy_runs > 0)
            except QueryUnavailable as error:
                raise yielded_in_vain(runs=yields, ran_s=longest_s) if yields else error from None
            started_at = time.monotonic()
            try:
                running = Run(agent=agent, slot=slot, heavy_runs=heavy_runs)
                reply = await self._ask(running, job, deadline=deadline)
            finally:
                self._give_back(slot, agent)
            if reply is not None:
                break
            # It yielded: from now on it is a heavy query, whatever it reads.
            longest_s = max(longest_s, time.monotonic() - started_at)
            heavy_runs += 1
            yields += 1
        finished_at = time.monotonic()
        on_facts(reply.facts)
        if isinstance(reply, Failure):
            raise _error(reply, job.sql)
        return Ran(
            answer=reply,
            queue_ms=(started_at - queued_at) * 1_000,
            worker_ms=(finished_at - started_at) * 1_000,
        )

    async def stream(
        self,
        make_work: Callable[[int], Extraction],
        *,
        agent: str,
        deadline: float,
        on_start: Callable[[], None],
        on_chunk: Callable[[Chunk], Awaitable[None]],
        on_facts: Callable[[tuple[FileFacts, ...]], None],
    ) -> Streamed:
        """Run an extraction as a heavy query; its bytes come as they are made.

        The worker is read from only as fast as `on_chunk` takes what it says. When that fails, or
        the caller goes away, the engine is stopped.

        Args:
            make_work: Makes the extraction with the id that it is given.
            agent: Whose turn it is.
            deadline: Seconds of `time.monotonic` at which it is stopped.
            on_start: Is called when a worker has it.
            on_chunk: Takes the next bytes.
            on_facts: Takes what the worker learned about new files.

        Raises:
            QueryRejected: the engine refuses the text.
            QueryUnavailable: too busy, timeout, out of memory, worker lost, or engine error.
        """
        queued_at = time.monotonic()
        work = make_work(next(self._ids))
        self._refused.check(work)
        slot = await self._turns.take(agent, deadline=deadline, heavy=True)
        queue_ms = (time.monotonic() - queued_at) * 1_000
        try:
            on_start()
            end = await self._follow(self._workers[slot], work, deadline, on_chunk)
        finally:
            self._give_back(slot, agent)
        on_facts(end.facts)
        if isinstance(end, Failure):
            raise _error(end, work.sql)
        return Streamed(end=end, queue_ms=queue_ms)

    async def _follow(
        self,
        worker: WorkerProcess,
        work: Extraction,
        deadline: float,
        on_chunk: Callable[[Chunk], Awaitable[None]],
    ) -> Extracted | Failure:
        worker.send(work)
        reading: asyncio.Task[FromWorker] | None = None
        try:
            while True:
                # Half a frame must not be left in the pipe: the read outlives what waits for it.
                reading = asyncio.create_task(worker.receive())
                left_s = max(0.0, deadline - time.monotonic())
                done, _ = await asyncio.wait({reading}, timeout=left_s)
                if not done:
                    raise _timed_out()
                reply, reading = reading.result(), None
                match reply:
                    case Chunk(id=work.id):
                        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                            await on_chunk(reply)
                    case Extracted(id=work.id) | Failure(id=work.id):
                        break
                    case _:
                        raise WorkerFailed("it spoke out of turn")
        except WorkerFailed as error:
            raise await self._lost(worker, work) from error
        except TimeoutError:
            await _surely(self._drain(worker, work, reading))
            raise _timed_out() from None
        except BaseException:
            # The caller is gone, its bytes can't be kept, or time is up.
            await _surely(self._drain(worker, work, reading))
            raise
        await _end_harmed(worker, reply)
        return reply

    async def _drain(
        self, worker: WorkerProcess, work: Extraction, reading: "asyncio.Task[FromWorker] | None"
    ) -> None:
        """Stop an extraction: what it still says is read and dropped, until it has ended."""
        worker.send(Cancel(id=work.id))
        deadline = time.monotonic() + self._limits.grace_s
        while True:
            reading = reading or asyncio.create_task(worker.receive())
            left_s = max(0.0, deadline - time.monotonic())
            done, _ = await asyncio.wait({reading}, timeout=left_s)
            if not done or reading.exception() is not None:
                reading.cancel()
                await _end(worker)
                return
            if not isinstance(last := reading.result(), Chunk):
                await _end_harmed(worker, last)
                return
            reading = None

    def _give_back(self, slot: int, agent: str) -> None:
        worker = self._workers.get(slot)
        self._turns.leave(agent, slot)
        if worker in self._outdated:
            self._spawn(worker.kill())
        elif worker is not None and worker.is_alive:
            self._turns.offer(slot)

    async def _ask(
        self, run: Run[int], job: Job | PageRead, *, deadline: float
    ) -> Answer | Failure | None:
        """What the worker answers; None when the query yielded its worker to others."""
        worker = self._workers[run.slot]
        worker.send(job)
        reading = asyncio.create_task(worker.receive())
        try:
            if await self._is_to_yield(reading, run, deadline=deadline):
                await self._stop(worker, job, reading)
                return None
            done, _ = await asyncio.wait({reading}, timeout=max(0.0, deadline - time.monotonic()))
            if not done:
                worker.send(Cancel(id=job.id))
                done, _ = await asyncio.wait({reading}, timeout=self._limits.grace_s)
        except asyncio.CancelledError:
            # The caller is gone; the worker must be free before it gets another job.
            await self._stop(worker, job, reading)
            raise
        if not done:
            reading.cancel()
            await _end(worker)
            raise _timed_out()
        try:
            reply = reading.result()
        except WorkerFailed as error:
            raise await self._lost(worker, job) from error
        if not isinstance(reply, Answer | Failure) or reply.id != job.id:
            await _end(worker)
            raise _worker_lost()
        await _end_harmed(worker, reply)
        return reply

    async def _lost(self, worker: WorkerProcess, work: Work) -> QueryUnavailable:
        """What to tell of work whose worker ended; a text whose fault it is, is remembered."""
        returncode = await worker.ended()
        last_words = "" if returncode is None else await worker.last_words()
        await _end(worker)
        if not is_crash(returncode) or self._closing:
            return _worker_lost()
        if lacked_memory(returncode, last_words):
            return _out_of_memory()
        return self._refused.add(work)

    async def _is_to_yield(
        self, reading: "asyncio.Task[FromWorker]", run: Run[int], *, deadline: float
    ) -> bool:
        """Wait for the answer; True when the query must make room for others before it is there."""
        since = time.monotonic()
        done, _ = await asyncio.wait(
            {reading}, timeout=max(0.0, min(FIRST_CHECK_S, deadline - since))
        )
        while not done and (left_s := deadline - time.monotonic()) > self._limits.grace_s:
            ran_s = time.monotonic() - since
            if self._yield_rule.is_to_yield(run, ran_s=ran_s, left_s=left_s):
                return True
            done, _ = await asyncio.wait({reading}, timeout=CHECK_S)
        return False

    async def _stop(
        self, worker: WorkerProcess, job: Work, reading: "asyncio.Task[FromWorker]"
    ) -> None:
        worker.send(Cancel(id=job.id))
        done, _ = await asyncio.wait({reading}, timeout=self._limits.grace_s)
        if not done or reading.exception() is not None:
            reading.cancel()
            await _end(worker)
        else:
            await _end_harmed(worker, reading.result())

    async def _start(self, slot: int) -> None:
        canary = self._engine_dir / "canary.txt"
        if not canary.exists():
            canary.write_text("outside of the cache", encoding="ascii")
        worker = await WorkerProcess.start(
            WorkerConfig(
                objects_dir=str(self._objects_dir),
                database=str(self._engine_dir / f"empty-{slot}.duckdb"),
                canary=str(canary),
                memory_bytes=self._limits.memory_bytes,
                address_space_bytes=self._limits.address_space_bytes,
                threads=self._limits.threads,
                niceness=0 if slot < self._limits.workers else _HEAVY_NICENESS,
            )
        )
        self._workers[slot] = worker
        self._spawn(self._watch(slot, worker))
        self._turns.offer(slot)

    async def _watch(self, slot: int, worker: WorkerProcess) -> None:
        """Start another worker when this one has ended, for whatever reason."""
        await worker.wait()
        self._outdated.discard(worker)
        self._turns.withdraw(slot)
        while not self._closing:
            try:
                await self._start(slot)
            except WorkerFailed:
                _LOG.exception("a query worker could not be started")
                await asyncio.sleep(_RESTART_DELAY_S)
            else:
                self.respawns += 1
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _end(worker: WorkerProcess) -> None:
    """End a worker that must not go on; its watcher starts another one."""
    await worker.kill()
    _LOG.warning("query worker %d was stopped; another one is started", worker.pid)


async def _end_harmed(worker: WorkerProcess, last: FromWorker) -> None:
    """End a worker whose last words say that its engine is harmed, whoever still reads them."""
    if isinstance(last, Failure) and last.recycle:
        await _end(worker)


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Do what ends by itself soon, however often the caller is cancelled meanwhile.

    A worker that is offered to the next query before it has stopped would never answer it.
    """
    task = asyncio.create_task(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


def _error(failure: Failure, sql: str) -> QueryRejected | QueryUnavailable:
    position = None if failure.offset is None else Position.at(sql, failure.offset)
    if failure.rejected:
        return QueryRejected(
            failure.detail,
            code=failure.code,
            hint=engine_hint(failure, sql) or failure.hint,
            fragment=failure.fragment,
            position=position,
        )
    return QueryUnavailable(
        failure.detail, code=failure.code, hint=failure.hint, retry=failure.retry
    )


def _timed_out() -> QueryUnavailable:
    return QueryUnavailable(
        "The query did not finish in time and was stopped.",
        code="query_timeout",
        hint="Narrow the days with a filter on `date`, or aggregate before joining.",
        retry=False,
    )


def _out_of_memory() -> QueryUnavailable:
    return QueryUnavailable(
        "The query needs more memory than a query may use.",
        code="out_of_memory",
        hint="Narrow the days with a filter on `date`, select fewer columns, or aggregate first.",
        retry=False,
    )


def _worker_lost() -> QueryUnavailable:
    return QueryUnavailable(
        "The process that ran the query ended unexpectedly.",
        code="worker_lost",
        hint="Try again; if it happens again, the query may need too much memory.",
        retry=True,
    )
