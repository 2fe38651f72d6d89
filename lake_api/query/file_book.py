"""What is known about the cached files: their schemas, and which of them can't be read.

Belongs here: turning planned files and known schemas into the views of a job, and into warnings.
Does not belong here: reading footers (`views`, inside the worker).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lake_api.query.messages import FileFacts, FileGroup, View
from lake_api.query.object_cache import Wanted
from lake_api.query.snapshot import Snapshot

_DAYS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a query reads of one dataset: the snapshot, and the objects that are planned."""

    snapshot: Snapshot
    wanted: tuple[Wanted, ...]


class FileBook:
    """Schemas by file; a file's name has its ETag's digest, so what is known stays true."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[tuple[str, str], ...] | None] = {}

    def learn(self, facts: Iterable[FileFacts]) -> None:
        """Take what a worker read from footers."""
        # Thousands of files share one schema: keep it once.
        known = {columns: columns for columns in self._columns.values()}
        for fact in facts:
            self._columns[fact.file] = known.setdefault(fact.columns, fact.columns)

    def forget(self, file: str) -> None:
        """Drop what is known about a file that is not cached any more."""
        self._columns.pop(file, None)

    def view(self, part: Part, files: Sequence[str]) -> View:
        """A dataset's view over the files of its planned objects, unreadable ones left out."""
        dataset = part.snapshot.dataset
        new: list[str] = []
        groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
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
