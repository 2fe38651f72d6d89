import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lake_api.stack.errors import StackError
from lake_api.stack.port_memory import PortMemory
from lake_api.stack.ports import (
    LOOPBACK,
    choose_port,
    free_ports,
    http_status,
    is_free,
    listens,
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


def test_the_next_free_port_is_chosen_where_one_is_taken(taken: int) -> None:
    with ExitStack() as others:
        if is_free(taken + 1):
            others.enter_context(socket.create_server((LOOPBACK, taken + 1)))
        port = choose_port(taken)
        assert taken + 1 < port < taken + 100
        assert is_free(port)


def test_above_the_last_port_any_other_is_chosen() -> None:
    with socket.create_server((LOOPBACK, 65_535)):
        assert is_free(choose_port(65_535))


def test_a_port_is_looked_for_again_as_often_as_somebody_was_quicker() -> None:
    held: list[socket.socket] = []

    def start(port: int) -> int:
        if len(held) < 3:
            held.append(socket.create_server((LOOPBACK, port)))
            raise StackError("the port is taken")
        return port

    try:
        port = with_port(0, start)
        assert port not in {server.getsockname()[1] for server in held}
    finally:
        for server in held:
            server.close()


def test_who_listens_is_known() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert listens(os.getpid(), port)
        # Somebody else's answer on the port is not that of the part.
        with subprocess.Popen(["sleep", "60"]) as other:
            assert not listens(other.pid, port)
            other.kill()


def test_a_part_has_the_same_port_the_next_time(tmp_path: Path) -> None:
    memory = PortMemory(tmp_path)
    assert memory.recall("api", 8000) == 8000
    memory.keep("api", 8000, 8003)
    memory.keep("dagster", 3000, 3001)

    again = PortMemory(tmp_path)
    assert (again.recall("api", 8000), again.recall("dagster", 3000)) == (8003, 3001)
    # Who asks for another port gets that one.
    assert again.recall("api", 9000) == 9000


@pytest.mark.parametrize("content", ["", "[]", "{", '{"api": 8000}', '{"api": {"preferred": "x"}}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    assert PortMemory(tmp_path).recall("api", 8000) == 8000
