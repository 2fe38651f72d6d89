"""Calls that block in a driver, so that an interrupt of the main thread ends them.

Belongs here: waiting in Python for what runs in a thread.
Does not belong here: what is called.

A signal reaches Python only between two of its instructions, and the Postgres driver takes SIGINT
for itself while it is called from the main thread: the interrupt was lost, and what it cancelled
looked like a fault that a retry may help.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_CANCELLED_S = 10.0


def interruptible(
    call: Callable[[], Result],
    *,
    cancel: Callable[[], None] | None,
    discard: Callable[[Result], None] | None = None,
) -> Result:
    """The result of a call, which a thread makes.

    On an interrupt, `cancel` is called and the thread is waited for before the interrupt goes on.
    Without `cancel` the thread is left to itself, and `discard` gets a result that comes too late.
    """
    results: list[Result] = []
    failures: list[BaseException] = []
    lock, abandoned = threading.Lock(), False

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            failures.append(error)
            return
        with lock:
            results.append(result)
            late = abandoned
        if late and discard is not None:
            discard(result)

    thread = threading.Thread(target=run, name="interruptible", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        if cancel is not None:
            cancel()
            thread.join(timeout=_CANCELLED_S)
        with lock:
            abandoned = True
            early = list(results)
        if discard is not None:
            for result in early:
                discard(result)
        raise
    if failures:
        raise failures[0]
    return results[0]
