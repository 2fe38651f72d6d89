"""Free TCP ports on the loopback interface.

Belongs here: choosing ports. Does not belong here: remembering them (`state`).
"""

import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"


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
    """`preferred` when it is free, else any free port; never one of `taken`."""
    if preferred not in taken and is_free(preferred):
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
