"""What lies below `exports/`: written in parts, removed, linked to.

Belongs here: calls to S3 with the identity that may write there and nowhere else.
Does not belong here: which objects there should be (`lake_api.jobs`).

An object appears whole or not at all: small ones with one PUT, others when the upload of their
parts is completed. Only one part is held in memory, once: as the pieces that it came in.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote

import httpx
import obstore
from obstore.exceptions import BaseError

from lake_api.exports.signing import signed_url
from lake_api.query.disk_room import cache_full, cache_unwritable, is_full
from lake_api.query.reader_store import open_whole, storage_unavailable
from lake_assets.catalog import LakeLocation
from lake_assets.catalog.proxies import proxy_for

PART_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_CALL_S = 300
_NOT_FOUND = 404
_TRIES = 4
_FIRST_PAUSE_S = 0.2
_UPLOAD_ID = re.compile(r"<UploadId>([^<]+)</UploadId>")
_LIST_CHUNK = 500

Pieces = Sequence[bytes | bytearray]
"""A body that never lies in memory as a whole."""


class ExportObjects:
    """The objects below one prefix. `location` has the identity that may write them.

    `link_location` is where signed URLs for callers lead to.
    """

    def __init__(self, location: LakeLocation, *, link_location: LakeLocation) -> None:
        self._location = location
        self._link_location = link_location
        self._store = open_whole(location)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(30.0, connect=2.0),
            follow_redirects=False,
            # Of the environment it may know the proxy, and no passwords of `.netrc`.
            trust_env=False,
            proxy=proxy_for(location.endpoint),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def link(self, key: str, *, file_name: str, expires: timedelta) -> str:
        """A URL that whoever has it may download the object from, until it expires."""
        return signed_url(
            self._link_location,
            "GET",
            key,
            expires_s=max(1, int(expires.total_seconds())),
            query={"response-content-disposition": attachment(file_name)},
        )

    async def put(self, key: str, data: Pieces, *, content_type: str) -> None:
        """Write a small object.

        Raises:
            QueryUnavailable: storage does not answer, or refuses.
        """
        await self._call("PUT", key, content=data, headers={"Content-Type": content_type})

    async def begin(self, key: str, *, content_type: str) -> str:
        """Begin an upload in parts; its id."""
        answer = await self._call(
            "POST", key, query={"uploads": ""}, headers={"Content-Type": content_type}
        )
        found = _UPLOAD_ID.search(answer.text)
        if found is None:
            raise storage_unavailable()
        return unescape(found[1])

    async def put_part(self, key: str, upload_id: str, number: int, data: Pieces) -> str:
        """Write a part, which is given in pieces; its ETag."""
        query = {"partNumber": str(number), "uploadId": upload_id}
        answer = await self._call("PUT", key, query=query, content=data)
        return answer.headers.get("etag", "")

    async def complete(self, key: str, upload_id: str, etags: list[str]) -> None:
        """Make the parts one object."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, start=1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        content = [body.encode()]
        answer = await self._call("POST", key, query={"uploadId": upload_id}, content=content)
        # S3 begins its answer before it knows how it ends.
        if "<Error>" in answer.text:
            raise storage_unavailable()

    async def abort(self, key: str, upload_id: str) -> None:
        """Drop the parts of an upload; one that is not there any more is fine."""
        await self._call("DELETE", key, query={"uploadId": upload_id}, may_lack=True)

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        await self._call("DELETE", key, may_lack=True)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """The keys below a prefix."""
        try:
            async for listed in obstore.list(self._store, prefix, chunk_size=_LIST_CHUNK):
                for item in listed:
                    yield item["path"]
        except (BaseError, OSError) as error:
            raise storage_unavailable() from error

    async def size_of(self, key: str) -> int:
        """How many bytes an object has.

        Raises:
            FileNotFoundError: there is no such object.
            QueryUnavailable: storage does not answer.
        """
        with _told_errors():
            found = await obstore.head_async(self._store, key)
        return found["size"]

    async def read(self, key: str, *, start: int, length: int) -> bytes:
        """Some bytes of an object; whoever reads all of it asks for one piece after the other.

        Raises:
            FileNotFoundError: there is no such object.
            QueryUnavailable: storage does not answer.
        """
        with _told_errors():
            piece = await obstore.get_range_async(self._store, key, start=start, length=length)
        if len(piece) != length:
            raise storage_unavailable()
        return piece.to_bytes()

    async def download(self, key: str, target: Path) -> None:
        """Copy an object to a file, which appears whole.

        Raises:
            FileNotFoundError: there is no such object.
            QueryUnavailable: storage does not answer, or the file can't be written.
        """
        found_bytes = 0
        part = target.with_suffix(".part")
        try:
            found = await obstore.get_async(self._store, key)
            found_bytes = found.meta["size"]
            with part.open("wb") as file:
                async for chunk in found.stream(min_chunk_size=PART_BYTES):
                    file.write(memoryview(chunk))
            if part.stat().st_size != found_bytes:
                raise storage_unavailable()
            part.rename(target)
        except FileNotFoundError:
            raise
        except BaseError as error:
            raise storage_unavailable() from error
        except OSError as error:
            if is_full(error):
                raise cache_full(found_bytes) from error
            raise cache_unwritable(error) from error
        finally:
            part.unlink(missing_ok=True)

    async def _call(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        content: Pieces = (),
        headers: Mapping[str, str] | None = None,
        may_lack: bool = False,
    ) -> httpx.Response:
        pause_s = _FIRST_PAUSE_S
        # Told beforehand, or the pieces would be sent in HTTP's own chunks, which S3 does not take.
        size = {"Content-Length": str(sum(map(len, content)))} if content else {}
        for left in reversed(range(_TRIES)):
            url = signed_url(self._location, method, key, query=query, expires_s=_CALL_S)
            try:
                answer = await self._http.request(
                    method,
                    url,
                    content=_pieces(content) if content else None,
                    headers={**(headers or {}), **size},
                )
            except httpx.TransportError as error:
                if not left:
                    raise storage_unavailable() from error
            else:
                if answer.is_success or (may_lack and answer.status_code == _NOT_FOUND):
                    return answer
                if not left or not answer.is_server_error:
                    raise storage_unavailable()
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise storage_unavailable()


class Upload:
    """One object, written as its bytes come. `finish` or `abort` must follow.

    `on_begin` is told the id of an upload in parts before the first part is written.
    """

    def __init__(
        self,
        objects: ExportObjects,
        key: str,
        *,
        content_type: str,
        on_begin: Callable[[str], Awaitable[None]],
    ) -> None:
        self._objects = objects
        self._key = key
        self._content_type = content_type
        self._on_begin = on_begin
        self._waiting: list[bytearray] = []
        self._waiting_bytes = 0
        self._upload_id: str | None = None
        self._etags: list[str] = []
        self.size_bytes = 0
        """Bytes that were taken."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        # Not a piece for each: whoever sends byte by byte would have us hold millions of them.
        if self._waiting and len(self._waiting[-1]) + len(data) <= _PIECE_BYTES:
            self._waiting[-1] += data
        else:
            self._waiting.append(bytearray(data))
        self._waiting_bytes += len(data)
        self.size_bytes += len(data)
        if self._waiting_bytes >= PART_BYTES:
            await self._send_part()

    async def finish(self) -> None:
        """The object is there when this returns."""
        if self._upload_id is None:
            content_type = self._content_type
            await self._objects.put(self._key, self._take(), content_type=content_type)
            return
        if self._waiting:
            await self._send_part()
        await self._objects.complete(self._key, self._upload_id, self._etags)

    async def abort(self) -> None:
        """Leave nothing behind."""
        self._take()
        if self._upload_id is not None:
            await self._objects.abort(self._key, self._upload_id)
        await self._objects.delete(self._key)

    async def _send_part(self) -> None:
        if self._upload_id is None:
            upload_id = await self._objects.begin(self._key, content_type=self._content_type)
            self._upload_id = upload_id
            await self._on_begin(upload_id)
        part, number = self._take(), len(self._etags) + 1
        self._etags.append(await self._objects.put_part(self._key, self._upload_id, number, part))

    def _take(self) -> Sequence[bytearray]:
        part, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return part


@contextmanager
def _told_errors() -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise storage_unavailable() from error


async def _pieces(content: Pieces) -> AsyncIterator[bytes]:
    """A body that is sent piece by piece; with one for each try, it can be sent again."""
    for piece in content:
        yield bytes(piece)


def attachment(file_name: str) -> str:
    """A Content-Disposition (RFC 6266); what ASCII has no letter for is told beside it."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in file_name)
    exact = "" if plain == file_name else f"; filename*=UTF-8''{quote(file_name, safe='')}"
    return f'attachment; filename="{plain}"{exact}'
