"""HTTP/1.1 with next to nothing around it, so that what is timed is the server.

Belongs here: one kept connection, one request at a time.
Does not belong here: what is asked (`contenders`).
"""

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, and the milliseconds until its last byte was there."""

    status: int
    body: bytes
    taken_ms: float

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class HttpClient:
    """One kept connection to a port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        self._connect()

    def _connect(self) -> None:
        self._connection.close()
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send and wait; the time to connect again after a pause is not counted."""
        try:
            return self._post(path, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            # Servers close connections that were silent for some seconds.
            self._connect()
            return self._post(path, body, headers)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        started = time.perf_counter()
        self._connection.request("POST", path, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        taken_ms = (time.perf_counter() - started) * 1_000
        return Reply(status=response.status, body=content, taken_ms=taken_ms)

    def get(self, path: str, headers: Mapping[str, str]) -> bytes:
        """The body of an answer that is not measured."""
        self._connect()
        self._connection.request("GET", path, None, dict(headers))
        return self._connection.getresponse().read()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
