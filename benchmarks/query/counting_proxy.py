"""A proxy before S3 that counts requests; used in a pass of its own, never while timing.

Belongs here: forwarding bytes, and reading request lines out of them.
Does not belong here: S3. Signed requests pass as they are, `Host` included.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

_READ_BYTES = 256 * 1024


class CountingProxy:
    """Requests by kind (`LIST`, `GET`, `HEAD`, …), and bytes that came back."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._counts: Counter[str] = Counter()
        self.port = 0

    def take(self) -> Mapping[str, int]:
        """What was counted since the last call."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    async def start(self) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_READ_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(
            "127.0.0.1", self._upstream_port
        )
        back = asyncio.create_task(self._back(upstream_reader, writer))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body_bytes = self._note(head)
                upstream_writer.write(head)
                if body_bytes:
                    upstream_writer.write(await reader.readexactly(body_bytes))
                await upstream_writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone, in the middle of a request or after its last one
        finally:
            back.cancel()
            upstream_writer.close()
            writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                self._counts["bytes"] += len(data)
                writer.write(data)
                await writer.drain()

    def _note(self, head: bytes) -> int:
        """Count a request; the number of bytes of its body."""
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        parts = urlsplit(target)
        listing = "prefix" in parse_qs(parts.query, keep_blank_values=True)
        kind = "LIST" if method == "GET" and listing else method
        if kind == "GET" and parts.path.endswith("_version.json"):
            kind = "GET version"
        self._counts[kind] += 1
        headers = (line.partition(":") for line in lines[1:])
        lengths = [value for name, _, value in headers if name.lower() == "content-length"]
        return int(lengths[0]) if lengths else 0


@contextmanager
def counting(upstream_port: int) -> Generator[CountingProxy]:
    """A proxy that runs in a thread until the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = CountingProxy(upstream_port)
    server = asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(timeout=10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
