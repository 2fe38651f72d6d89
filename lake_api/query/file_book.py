"""What is known about the cached files: their schemas, and which of them can't be read.

Belongs here: turning planned files and known schemas into the views of a job, and into warnings.
Does not belong here: reading footers (`views`, inside the worker).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from lake_api.query.cached_files import Wanted
from lake_api.query.messages import FileFacts, FileGroup, View
from lake_api.query.snapshot import Snapshot

_DAYS_NAMED = 5

_Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a query reads of one dataset: the snapshot, and the objects that are planned.

    One that reads a whole dataset is used again by later queries, and with it what depends on
    each of a thousand objects.
    """

    snapshot: Snapshot
    wanted: tuple[Wanted, ...]

    @cached_property
    def digest(self) -> bytes:
        """What stands for the dataset's version and the ETags of the planned objects."""
        digest = hashlib.blake2b(self.snapshot.version.encode(), digest_size=16)
        for one in self.wanted:
            digest.update(one.partition.etag.encode())
        return digest.digest()

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the planned objects."""
        return sum(one.partition.size_bytes for one in self.wanted)


class FileBook:
    """Schemas by file; a file's name has its ETag's digest, so what is known stays true."""

    def __init__(self) -> None:
        self._columns: dict[str, _Columns | None] = {}
        # Thousands of files share one schema: it is kept once.
        self._schemas: dict[_Columns, _Columns] = {}

    def learn(self, facts: Iterable[FileFacts]) -> None:
        """Take what a worker read from footers."""
        for fact in facts:
            columns = fact.columns
            self._columns[fact.file] = columns and self._schemas.setdefault(columns, columns)

    def forget(self, file: str) -> None:
        """Drop what is known about a file that is not cached any more."""
        self._columns.pop(file, None)

    def view(self, part: Part, files: Sequence[str]) -> View:
        """A dataset's view over the files of its planned objects, unreadable ones left out."""
        dataset = part.snapshot.dataset
        new: list[str] = []
        groups: dict[_Columns, list[str]] = {}
        for file in files:
            if file not in self._columns:
                new.append(file)
            elif (columns := self._columns[file]) is not None:
                groups.setdefault(columns, []).append(file)
        return View(
            name=dataset.sql_name,
            columns=tuple((column.name, column.type.sql) for column in dataset.columns),
            groups=tuple(
                FileGroup(columns=columns, files=tuple(members))
                for columns, members in groups.items()
            ),
            new_files=tuple(new),
        )

    def warnings(self, part: Part, files: Sequence[str]) -> Iterable[str]:
        """What the caller should know about objects that can't be read."""
        name = part.snapshot.dataset.sql_name
        bad = [
            one.partition.day.isoformat()
            for one, file in zip(part.wanted, files, strict=True)
            if file in self._columns and self._columns[file] is None
        ]
        if bad:
            more = f" and {len(bad) - _DAYS_NAMED} more" if len(bad) > _DAYS_NAMED else ""
            days = ", ".join(bad[:_DAYS_NAMED])
            yield f"`{name}`: left out {days}{more}, because the stored data can't be read"

    @staticmethod
    def day_warnings(part: Part) -> Iterable[str]:
        """What the caller should know about the days that are planned."""
        name, days_there = part.snapshot.dataset.sql_name, part.snapshot.days
        if not days_there:
            yield f"`{name}` has no data yet"
        elif not part.wanted:
            yield (
                f"`{name}` has no day that the filter on `date` asks for; "
                f"it has {days_there[0]} to {days_there[-1]}"
            )
        failed = part.snapshot.failed_checks
        wanted = (one.partition.day for one in part.wanted)
        # The newest days are what most ask about.
        flagged = sorted((day for day in wanted if day in failed), reverse=True)
        for day in flagged[:_DAYS_NAMED]:
            for check, found in failed[day].items():
                yield f"`{name}`: {day} failed the check {check}: {found}"
        if len(flagged) > _DAYS_NAMED:
            yield f"`{name}`: {len(flagged) - _DAYS_NAMED} more days failed a check"
