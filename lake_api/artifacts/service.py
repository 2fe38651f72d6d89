"""Taking files, linking to them, removing and sweeping them.

Belongs here: the order in which a file's row and its object come and go.
Does not belong here: HTTP (`controller`), who may see which (`store`).

A row is there before its object, and goes after it: whatever a process that was killed leaves
behind has a row that says so, and is swept. An object that has no row is swept as well.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from uuid import UUID

from lake_api.artifacts.kinds import HEAD_BYTES, UNKNOWN, media_type_of
from lake_api.artifacts.store import ArtifactStore, Content, NewArtifact
from lake_api.artifacts.table import ArtifactRow
from lake_api.clock import Clock
from lake_api.database.database import Database
from lake_api.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotFound,
    QueryUnavailable,
    RateLimited,
    ServiceUnavailable,
)
from lake_api.exports.objects import ExportObjects, Upload
from lake_api.files.links import StoredFile
from lake_api.identity import Caller, Role
from lake_api.jobs.service import JobService
from lake_api.settings import Settings
from lake_assets.catalog.layout import EXPORTS_PREFIX

ARTIFACT = "artifact"

_UPLOAD_S = 300.0
_LEASE = timedelta(seconds=_UPLOAD_S + 60)
_UPLOADS = 8
_UPLOADS_OF_ONE = 2
_SWEEP_S = 300.0
_SWEPT_AT_ONCE = 200

_log = logging.getLogger("lake_api.artifacts")


class ArtifactService:
    """The files of this service. Made by `serving_artifacts`."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        objects: ExportObjects,
        settings: Settings,
        deployment: UUID,
    ) -> None:
        self._store = store
        self._objects = objects
        self._settings = settings
        self._prefix = f"{EXPORTS_PREFIX}artifacts/{deployment}/"
        self._uploading: Counter[str] = Counter()

    async def keep(
        self, caller: Caller, new: NewArtifact, chunks: AsyncIterator[bytes]
    ) -> ArtifactRow:
        """Take a file as its bytes come.

        Raises:
            BodyTooLarge: it has more bytes than a file may, or than were reserved for it.
            Conflict: the caller would keep more than it may.
            InvalidRequest: it is empty, or came too slowly.
            RateLimited: the caller, or all together, send too many at a time.
            QueryUnavailable: storage does not answer.
        """
        with self._turn(caller):
            row = await self._store.reserve(caller, new)
            upload = Upload(
                self._objects,
                self._key(row.id),
                content_type=UNKNOWN,
                on_begin=lambda upload_id: self._store.note_upload(row.id, upload_id),
            )
            try:
                async with asyncio.timeout(_UPLOAD_S):
                    content = await self._take(new, chunks, upload)
                    await upload.finish()
                if not await self._store.complete(row.id, content):
                    raise _too_slow()
            except BaseException as error:
                await self._drop(row, upload)
                if isinstance(error, TimeoutError):
                    raise _too_slow() from error
                raise
        kept = await self._store.get(row.id, caller)
        return self._found(kept)

    async def get(self, artifact_id: UUID, caller: Caller) -> ArtifactRow:
        """A file that the caller may see.

        Raises:
            NotFound: there is none, or none that it may see.
        """
        return self._found(await self._store.get(artifact_id, caller))

    async def listed(
        self, caller: Caller, *, page: int, page_size: int
    ) -> tuple[list[ArtifactRow], int]:
        """Files that the caller may see, newest first, and how many there are."""
        first = (page - 1) * page_size
        rows, total = await self._store.listed(caller, first=first, count=page_size)
        return list(rows), total

    def file_of(self, row: ArtifactRow) -> StoredFile:
        """A file as it is served: bytes to be saved, whatever they are."""
        return StoredFile(
            kind=ARTIFACT,
            id=row.id,
            key=self._key(row.id),
            name=row.name,
            media_type=UNKNOWN,
            size_bytes=row.size_bytes,
            etag=f'"{row.sha256}"',
            expires_at=row.expires_at,
        )

    async def discard(self, row: ArtifactRow, caller: Caller) -> None:
        """Remove a file; its links end with it.

        Raises:
            Forbidden: it is another's, who shares it.
        """
        if caller.role is not Role.ADMIN and row.owner != caller.key:
            raise Forbidden("Only its owner may remove this artifact.", code="not_the_owner")
        await self._store.expire(row.id)
        # What storage does not do now, sweeping does.
        with contextlib.suppress(QueryUnavailable):
            await self._remove(row)

    async def sweep(self) -> None:
        """Remove files whose time is over, and all that killed processes left behind."""
        for row in await self._store.doomed(count=_SWEPT_AT_ONCE):
            await self._remove(row)
        found = [key async for key in self._objects.keys(self._prefix)]
        for start in range(0, len(found), _SWEPT_AT_ONCE):
            ids = {key: _id_of(key) for key in found[start : start + _SWEPT_AT_ONCE]}
            known = await self._store.known({one for one in ids.values() if one is not None})
            for key, artifact_id in ids.items():
                if artifact_id not in known:
                    await self._objects.delete(key)
                    _log.info("an object that no artifact has was removed", extra={"key": key})

    async def _take(
        self, new: NewArtifact, chunks: AsyncIterator[bytes], upload: Upload
    ) -> Content:
        digest, head = hashlib.sha256(), b""
        async for chunk in chunks:
            if upload.size_bytes + len(chunk) > new.size_bytes:
                raise too_large(self._settings)
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
            digest.update(chunk)
            await upload.write(chunk)
        if not upload.size_bytes:
            raise InvalidRequest("The body is empty.", code="empty_artifact", status=400)
        return Content(
            media_type=media_type_of(head, name=new.name),
            size_bytes=upload.size_bytes,
            sha256=digest.hexdigest(),
        )

    @contextmanager
    def _turn(self, caller: Caller) -> Generator[None]:
        if self._uploading[caller.key] >= _UPLOADS_OF_ONE or self._uploading.total() >= _UPLOADS:
            raise RateLimited(
                "Too many files are sent at the same time.",
                code="too_many_uploads",
                hint="Send them one after the other.",
                retry=True,
                retry_after_s=1,
            )
        self._uploading[caller.key] += 1
        try:
            yield
        finally:
            self._uploading[caller.key] -= 1
            if not self._uploading[caller.key]:
                del self._uploading[caller.key]

    async def _drop(self, row: ArtifactRow, upload: Upload) -> None:
        """Leave nothing of a file that was not taken; what can't be dropped now, sweeping drops."""
        with contextlib.suppress(QueryUnavailable, ServiceUnavailable):
            await upload.abort()
            await self._store.forget(row.id)

    async def _remove(self, row: ArtifactRow) -> None:
        key = self._key(row.id)
        if row.upload_id is not None:
            await self._objects.abort(key, row.upload_id)
        await self._objects.delete(key)
        await self._store.forget(row.id)

    def _key(self, artifact_id: UUID) -> str:
        return f"{self._prefix}{artifact_id}"

    def _found(self, row: ArtifactRow | None) -> ArtifactRow:
        if row is None:
            raise NotFound("There is no such artifact.", code="unknown_artifact")
        return row


@asynccontextmanager
async def serving_artifacts(
    *, jobs: JobService | None, database: Database, settings: Settings, clock: Clock
) -> AsyncGenerator[ArtifactService | None]:
    """The service of files until the block is left; None without an identity to write them with."""
    if jobs is None:
        yield None
        return
    service = ArtifactService(
        store=ArtifactStore(
            database,
            clock=clock,
            quota_bytes=settings.artifact_quota_bytes,
            count=settings.artifacts_per_agent,
            lease=_LEASE,
        ),
        objects=jobs.objects,
        settings=settings,
        deployment=jobs.deployment,
    )
    sweeping = asyncio.create_task(_sweep_forever(service))
    try:
        yield service
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


async def _sweep_forever(service: ArtifactService) -> None:
    while True:
        try:
            await service.sweep()
        except LakeError as error:
            _log.warning("sweeping artifacts waits: %s", error.code)
        except Exception:  # noqa: BLE001 - it is logged, and without the loop nothing would be swept
            _log.exception("sweeping artifacts failed")
        await asyncio.sleep(_SWEEP_S)


def too_large(settings: Settings) -> BodyTooLarge:
    """A file has more bytes than a file may have."""
    return BodyTooLarge(
        f"An artifact has at most {settings.artifact_bytes:,} bytes.",
        code="artifact_too_large",
        hint="Split it, or compress it.",
    )


def _too_slow() -> InvalidRequest:
    return InvalidRequest(
        f"The file did not arrive within {_UPLOAD_S:.0f} seconds.",
        code="upload_too_slow",
        status=408,
        retry=True,
    )


def _id_of(key: str) -> UUID | None:
    try:
        return UUID(key.rpartition("/")[2])
    except ValueError:
        return None
