"""One worker process as the API process holds it: two pipes and a process to end.

Belongs here: starting it with nothing but a clean environment, framing, killing.
Does not belong here: when it is asked, stopped or replaced (`pool`).
"""

import asyncio
import contextlib
import sys
from collections.abc import Mapping

import msgspec

from lake_api.query.messages import (
    Cancel,
    FromWorker,
    Ready,
    Refused,
    Work,
    WorkerConfig,
    decode_from_worker,
    frame_length,
    to_frame,
)

_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 2.0
_LAST_WORDS_S = 0.5
_LAST_WORDS_BYTES = 4_096
_ENVIRONMENT: Mapping[str, str] = {"LANG": "C.UTF-8", "TZ": "UTC", "MALLOC_ARENA_MAX": "2"}


class WorkerFailed(Exception):
    """A worker did not start, or is not there any more."""


class WorkerProcess:
    """One process and its two pipes; one job at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise WorkerFailed("it has no pipes")
        self._process = process
        self._jobs = process.stdin
        self._answers = process.stdout
        self._errors = b""
        # A pipe that nobody reads holds up whoever writes to it.
        self._reading_errors = asyncio.create_task(self._read_errors(process.stderr))

    @classmethod
    async def start(cls, config: WorkerConfig) -> "WorkerProcess":
        """A worker that has proved that it is locked.

        Raises:
            WorkerFailed: it did not, or not in time.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "lake_api.query.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(_ENVIRONMENT),
        )
        worker = cls(process)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                worker.send(config)
                match await worker.receive():
                    case Ready():
                        return worker
                    case Refused(reason=reason):
                        raise WorkerFailed(reason)
                    case _:
                        raise WorkerFailed("it spoke out of turn")
        except (TimeoutError, WorkerFailed) as error:
            await worker.kill()
            raise WorkerFailed(f"a query worker did not start: {error}") from error
        except asyncio.CancelledError:
            await worker.kill()
            raise

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    def send(self, message: WorkerConfig | Work | Cancel) -> None:
        """Write a message; a worker that is gone shows when its answer is read."""
        with contextlib.suppress(OSError, RuntimeError):
            self._jobs.write(to_frame(message))

    async def receive(self) -> FromWorker:
        """The next message.

        Raises:
            WorkerFailed: the worker is gone, or says what no worker says.
        """
        try:
            header = await self._answers.readexactly(4)
            body = await self._answers.readexactly(frame_length(header))
            return decode_from_worker(body)
        except (asyncio.IncompleteReadError, OSError, ValueError, msgspec.MsgspecError) as error:
            raise WorkerFailed("the worker is gone") from error

    async def ended(self) -> int | None:
        """How a process that spoke no more has ended; None when it has not."""
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                return await self._process.wait()
        except TimeoutError:
            return None

    async def last_words(self) -> str:
        """The end of what a process that has ended wrote to its standard error."""
        await asyncio.wait({self._reading_errors}, timeout=_LAST_WORDS_S)
        return self._errors.decode(errors="replace")

    async def _read_errors(self, pipe: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := await pipe.read(_LAST_WORDS_BYTES):
                self._errors = (self._errors + piece)[-_LAST_WORDS_BYTES:]

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._process.wait()

    async def kill(self) -> None:
        """End the process now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        # Closing the pipe transports keeps them from warning when they are collected.
        self._jobs.close()
        await self._process.wait()
        await asyncio.wait({self._reading_errors}, timeout=_LAST_WORDS_S)
