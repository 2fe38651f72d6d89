"""The query worker process: it reads jobs from standard input and writes answers to a pipe.

Belongs here: starting locked or not at all, and the loop of the process.
Does not belong here: anything that needs S3, a secret, or the network; none is ever here.

Started as `python -I -m lake_api.query.worker` with an environment of nothing but what
`ENVIRONMENT` names. It ends when its parent closes the pipe or dies.
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import duckdb

from lake_api.query.messages import (
    Cancel,
    FromWorker,
    Ready,
    Refused,
    Work,
    WorkerConfig,
    decode_config,
    decode_to_worker,
    read_frame,
    to_frame,
)
from lake_api.query.worker.locked_engine import NotLocked, create_empty_database, open_locked
from lake_api.query.worker.sandbox import (
    close_inherited_files,
    die_with_parent,
    limit_resources,
    prove_limits,
    restrict_files,
)
from lake_api.query.worker.syscalls import forbid_calls

if TYPE_CHECKING:
    from lake_api.query.worker.session import Session

ENVIRONMENT = frozenset({"LANG", "LC_CTYPE", "MALLOC_ARENA_MAX", "TZ"})
"""The only variables that a worker may have."""

_SYSTEM_READS = (
    "/proc/self/cgroup",
    "/proc/self/statm",
    "/proc/meminfo",
    "/sys/fs/cgroup",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
)
"""What the engine and the interpreter read of the system; nothing in it is anybody's secret."""


def main(
    *,
    open_engine: Callable[[WorkerConfig], duckdb.DuckDBPyConnection] = open_locked,
    limit: Callable[..., None] = limit_resources,
    restrict: Callable[..., bool] = restrict_files,
    forbid: Callable[[], bool] = forbid_calls,
) -> None:
    """Lock, prove it, serve until the pipe closes.

    Args:
        open_engine: Opens the engine; tests give one that forgets a lock.
        limit: Puts limits on the process; tests give one that does not.
        restrict: Asks the kernel for file rules; tests give one that only says so.
        forbid: Asks it to refuse system calls; tests give one that only says so.
    """
    # Ctrl-C is meant for the parent, which closes the pipe when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    close_inherited_files()
    jobs, answers = _take_pipes()
    config_frame = read_frame(jobs)
    if config_frame is None:
        return
    config = decode_config(config_frame)
    try:
        if foreign := sorted(set(os.environ) - ENVIRONMENT):
            raise NotLocked(f"the environment has {len(foreign)} variables too many")
        os.nice(config.niceness)
        create_empty_database(config.database)
        readable = [config.objects_dir, config.database, config.canary, *_SYSTEM_READS]
        readable += [sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])]
        has_file_rules = restrict(readable=[path for path in readable if os.path.exists(path)])
        # Arrow starts threads when it is imported, and the rules are for threads that come later.
        from lake_api.query.worker.session import Session  # noqa: PLC0415

        limit(address_space_bytes=config.address_space_bytes)
        missing = prove_limits(
            has_file_rules=has_file_rules,
            has_call_rules=forbid(),
            unreadable=str(Path(config.canary).parent),
        )
        if missing:
            raise NotLocked(missing)
        session = Session(open_engine(config))
    except (NotLocked, OSError, ValueError, duckdb.Error) as error:
        _send(answers, Refused(reason=str(error)))
        return
    _send(answers, Ready())
    _serve(session, jobs, answers)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, moved away from where stray prints of native code would land."""
    jobs = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    return jobs, answers


def _serve(session: "Session", jobs: BinaryIO, answers: BinaryIO) -> None:
    waiting: queue.SimpleQueue[Work] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(session, jobs, waiting), daemon=True)
    reader.start()
    while True:
        _send(answers, session.work(waiting.get(), send=partial(_send, answers)))


def _read(session: "Session", jobs: BinaryIO, waiting: "queue.SimpleQueue[Work]") -> None:
    """Take messages off the pipe while a query runs; end the process when it closes."""
    while (body := read_frame(jobs)) is not None:
        message = decode_to_worker(body)
        if isinstance(message, Cancel):
            session.cancel(message.id)
        else:
            waiting.put(message)
    # A query may hold the main thread for as long as it likes: leave without asking it.
    os._exit(0)


def _send(answers: BinaryIO, message: FromWorker) -> None:
    frame = memoryview(to_frame(message))
    while frame:
        frame = frame[answers.write(frame) :]


if __name__ == "__main__":
    main()
