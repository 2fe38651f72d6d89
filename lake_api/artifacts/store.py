"""The life of files, over the table: reserved, ready, expired, forgotten.

Belongs here: every change of a file's row, who sees which, quotas.
Does not belong here: the objects (`service`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.engine import CursorResult

from lake_api.artifacts.kinds import UNKNOWN
from lake_api.artifacts.table import ArtifactRow
from lake_api.clock import Clock
from lake_api.database.database import Database, take_turn
from lake_api.errors import Conflict
from lake_api.identity import Caller, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArtifact:
    """A file that shall be taken; `size_bytes` is what it has at most.

    One that is shared is seen by all agents of its owner's swarm.
    """

    name: str
    is_shared: bool
    size_bytes: int
    life: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is known of a file once all of it was taken."""

    media_type: str
    size_bytes: int
    sha256: str


class ArtifactStore:
    """The files of the service. `quota_bytes` and `count` are what one owner may keep."""

    def __init__(
        self, database: Database, *, clock: Clock, quota_bytes: int, count: int, lease: timedelta
    ) -> None:
        self._database = database
        self._clock = clock
        self._quota_bytes = quota_bytes
        self._count = count
        self._lease = lease

    async def reserve(self, caller: Caller, new: NewArtifact) -> ArtifactRow:
        """A row for a file that is about to be written.

        Raises:
            Conflict: the caller would keep more than it may (`artifact_quota`).
        """
        now = self._clock()
        row = ArtifactRow(
            owner=caller.key,
            token_id=caller.token_id,
            swarm_id=caller.swarm_id,
            is_shared=new.is_shared,
            name=new.name,
            media_type=UNKNOWN,
            size_bytes=new.size_bytes,
            sha256="",
            is_ready=False,
            lease_until=now + self._lease,
            created_at=now,
            expires_at=now + new.life,
        )
        async with self._database.session() as session:
            await take_turn(session, f"artifacts {caller.key}")
            # Written first, counted then: of two that would both fit, one sees the other.
            session.add(row)
            await session.flush()
            mine = and_(ArtifactRow.owner == caller.key, ArtifactRow.expires_at > now)
            sums = select(func.sum(ArtifactRow.size_bytes), func.count()).where(mine)
            used_bytes, count = (await session.execute(sums)).one()
            if used_bytes > self._quota_bytes or count > self._count:
                raise self._full(used_bytes - new.size_bytes, count - 1)
        return row

    async def note_upload(self, artifact_id: UUID, upload_id: str | None) -> None:
        """Write down an upload whose parts are not one object yet."""
        await self._change(ArtifactRow.id == artifact_id, upload_id=upload_id)

    async def complete(self, artifact_id: UUID, content: Content) -> bool:
        """Its object is there; False when it took too long, and will be swept."""
        mine = and_(ArtifactRow.id == artifact_id, ArtifactRow.lease_until > self._clock())
        return await self._change(
            mine,
            is_ready=True,
            upload_id=None,
            media_type=content.media_type,
            size_bytes=content.size_bytes,
            sha256=content.sha256,
        )

    async def get(self, artifact_id: UUID, caller: Caller) -> ArtifactRow | None:
        """A file that the caller may see, or None."""
        wanted = select(ArtifactRow).where(ArtifactRow.id == artifact_id, *self._visible(caller))
        async with self._database.session() as session:
            return (await session.execute(wanted)).scalar_one_or_none()

    async def listed(
        self, caller: Caller, *, first: int, count: int
    ) -> tuple[Sequence[ArtifactRow], int]:
        """Some of the files that the caller may see, newest first, and how many there are."""
        seen = self._visible(caller)
        newest = (ArtifactRow.created_at.desc(), ArtifactRow.id.desc())
        wanted = select(ArtifactRow).where(*seen).order_by(*newest).offset(first).limit(count)
        async with self._database.session() as session:
            rows = (await session.execute(wanted)).scalars().all()
            total = await session.scalar(select(func.count()).select_from(ArtifactRow).where(*seen))
        return rows, total or 0

    async def expire(self, artifact_id: UUID) -> None:
        """It is gone for everybody, and will be swept."""
        await self._change(ArtifactRow.id == artifact_id, expires_at=self._clock())

    async def doomed(self, *, count: int) -> Sequence[ArtifactRow]:
        """Files whose time is over, and those that will never be ready."""
        now = self._clock()
        lost = and_(ArtifactRow.is_ready.is_(False), ArtifactRow.lease_until < now)
        wanted = select(ArtifactRow).where(or_(ArtifactRow.expires_at <= now, lost)).limit(count)
        async with self._database.session() as session:
            return (await session.execute(wanted)).scalars().all()

    async def known(self, ids: Collection[UUID]) -> set[UUID]:
        """Which of the files there are."""
        wanted = select(ArtifactRow.id).where(ArtifactRow.id.in_(ids))
        async with self._database.session() as session:
            return set((await session.execute(wanted)).scalars())

    async def forget(self, artifact_id: UUID) -> None:
        """Its object is gone: so is its row."""
        async with self._database.session() as session:
            await session.execute(delete(ArtifactRow).where(ArtifactRow.id == artifact_id))

    def _visible(self, caller: Caller) -> list[ColumnElement[bool]]:
        """Its own and what its swarm shares for an agent, its agents' for a swarm, or all."""
        seen = [ArtifactRow.is_ready.is_(True), ArtifactRow.expires_at > self._clock()]
        if caller.role is Role.ADMIN:
            return seen
        own = ArtifactRow.owner == caller.key
        if caller.swarm_id is None:
            return [*seen, own]
        of_swarm = ArtifactRow.swarm_id == caller.swarm_id
        if caller.role is Role.SWARM:
            return [*seen, or_(own, of_swarm)]
        return [*seen, or_(own, and_(of_swarm, ArtifactRow.is_shared.is_(True)))]

    async def _change(self, which: ColumnElement[bool], **values: object) -> bool:
        statement = update(ArtifactRow).where(which).values(**values)
        async with self._database.session() as session:
            done = await session.execute(
                statement, execution_options={"synchronize_session": False}
            )
        return isinstance(done, CursorResult) and done.rowcount > 0

    def _full(self, used_bytes: int, count: int) -> Conflict:
        return Conflict(
            f"You keep {count:,} artifacts with {used_bytes:,} bytes; at most {self._count:,} "
            f"with {self._quota_bytes:,} bytes may be kept.",
            code="artifact_quota",
            hint="Delete some of them.",
        )
