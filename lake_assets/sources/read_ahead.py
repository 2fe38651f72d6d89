"""Reading the next batch while the last one is being written.

Belongs here: one bounded thread between a slow producer and a slow consumer.
Does not belong here: what is read, or from where.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_END = object()
_WAIT_S = 0.2
_CANCELLED_S = 10.0


def read_ahead(
    items: Iterable[Item], *, depth: int = 2, cancel: Callable[[], None] | None = None
) -> Generator[Item]:
    """The same items, taken from `items` by a thread that is at most `depth` items ahead.

    An error of `items` is raised where its item would have come. When the consumer stops early,
    the thread stops too, before this generator is closed; `cancel` ends a read that waits.
    """
    ready: queue.Queue[object] = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    failure: list[BaseException] = []

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=_WAIT_S)
            except queue.Full:
                continue
            return

    def produce() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, whatever it is
            failure.append(error)
        put(_END)

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    ended = False
    try:
        while (item := ready.get()) is not _END:
            yield item  # type: ignore[misc]  # the queue holds items and the end mark only
        ended = True
        if failure:
            raise failure[0]
    finally:
        stopped.set()
        if cancel is not None and not ended:
            cancel()
            thread.join(timeout=_CANCELLED_S)
        else:
            thread.join()
