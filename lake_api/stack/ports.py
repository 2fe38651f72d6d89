"""Free TCP ports on the loopback interface.

Belongs here: choosing ports, and asking whether something answers on one.
Does not belong here: remembering them (`state`).
"""

import http.client
import socket
from collections.abc import Callable, Collection
from typing import TypeVar

from lake_api.stack.errors import StackError

LOOPBACK = "127.0.0.1"
_ANSWER_S = 5.0
_T = TypeVar("_T")


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: a port whose last connections are only closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_port(preferred: int, *, taken: Collection[int] = ()) -> int:
    """`preferred` when it is free, else any free port; never one of `taken`. 0 prefers none."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    return free_ports(1, taken=taken)[0]


def free_ports(count: int, *, taken: Collection[int] = ()) -> tuple[int, ...]:
    """`count` different free ports, none of `taken`."""
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(probe)  # held open until the end, so that no port is handed out twice
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
            if port not in taken:
                ports.append(port)
    finally:
        for probe in held:
            probe.close()
    return tuple(ports)


def with_port(preferred: int, start: Callable[[int], _T]) -> _T:
    """What `start` returns for a chosen port; once more with another one when it was lost.

    Between choosing a port and listening on it, another program may take it.

    Raises:
        StackError: `start` failed, and not because of the port.
    """
    port = choose_port(preferred)
    try:
        return start(port)
    except StackError:
        if is_free(port):
            raise
        return start(choose_port(0, taken=(port,)))


def http_status(port: int, path: str = "/") -> int | None:
    """The status that a local web server answers with, or None while it does not answer.

    Proxies of the environment have no say.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
