import socket
from collections.abc import Iterator

import pytest

from lake_api.stack.errors import StackError
from lake_api.stack.ports import (
    LOOPBACK,
    choose_port,
    free_ports,
    http_status,
    is_free,
    with_port,
)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_the_preferred_port_is_taken_where_it_is_free() -> None:
    (port,) = free_ports(1)
    assert choose_port(port) == port


def test_another_port_is_chosen_where_the_preferred_one_is_taken(taken: int) -> None:
    assert not is_free(taken)
    port = choose_port(taken)
    assert port != taken
    assert is_free(port)


def test_a_port_that_was_handed_out_is_not_chosen_again() -> None:
    (port,) = free_ports(1)
    assert choose_port(port, taken={port}) != port


def test_many_free_ports_differ() -> None:
    assert len(set(free_ports(40))) == 40


def test_a_port_lost_between_choosing_and_listening_is_replaced(taken: int) -> None:
    (lost,) = free_ports(1)
    tried: list[int] = []

    def start(port: int) -> int:
        tried.append(port)
        if len(tried) == 1:
            # Somebody else was faster.
            tried.append(-1)
            server = socket.create_server((LOOPBACK, port))
            try:
                raise_if_taken(port)
            finally:
                held.append(server)
        return port

    held: list[socket.socket] = []
    try:
        assert with_port(lost, start) not in {lost, taken}
    finally:
        for server in held:
            server.close()
    assert tried[0] == lost


def raise_if_taken(port: int) -> None:
    if not is_free(port):
        raise StackError(f"port {port} is taken")


def test_a_failure_that_is_not_the_ports_is_not_tried_again() -> None:
    tried: list[int] = []

    def start(port: int) -> int:
        tried.append(port)
        raise StackError("no disk")

    with pytest.raises(StackError, match="no disk"):
        with_port(0, start)
    assert len(tried) == 1


def test_a_silent_port_has_no_status() -> None:
    (port,) = free_ports(1)
    assert http_status(port) is None
