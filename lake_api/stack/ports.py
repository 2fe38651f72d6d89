"""Free TCP ports on the loopback interface.

Belongs here: choosing ports, and asking whether something answers on one.
Does not belong here: remembering them (`port_memory`).
"""

import http.client
import socket
from collections.abc import Callable, Collection
from typing import TypeVar

import psutil

from lake_api.stack.errors import StackError

LOOPBACK = "127.0.0.1"
_ANSWER_S = 5.0
_LAST_PORT = 65_535
# How far from the preferred port one is still a neighbour that a person finds.
_NEIGHBOURS = 100
_TRIES = 4
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
    """`preferred` when it is free, else the next free one; never one of `taken`.

    0 prefers none: any free port then.
    """
    if preferred:
        for port in range(preferred, min(preferred + _NEIGHBOURS, _LAST_PORT) + 1):
            if port not in taken and is_free(port):
                return port
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
    """What `start` returns for a chosen port; again with another one where it was lost.

    Between choosing a port and listening on it, another program may take it.

    Raises:
        StackError: `start` failed, and not because of the port.
    """
    lost: set[int] = set()
    while True:
        port = choose_port(preferred, taken=lost)
        try:
            return start(port)
        except StackError:
            lost.add(port)
            if len(lost) == _TRIES or is_free(port):
                raise


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


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one that it started, listens on `port`; another's server is not it."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return False
    return any(_has_port(process, port) for process in tree)


def _has_port(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.AccessDenied:
        # Where nobody may look, what answers on the port is believed.
        return True
    except psutil.Error:
        return False
    return any(
        one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        for one in connections
    )
