"""What is known about the cached files: their schemas, and which of them can't be read.

Belongs here: turning planned files and known schemas into the views of a job, and into warnings.
Does not belong here: reading footers (`views`, inside the worker).
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from lake_api.query.cached_files import Wanted
from lake_api.query.messages import FileFacts, FileGroup, View
from lake_api.query.snapshot import Snapshot
from lake_api.query.stored_days import last_possible_day, possible_days, utc_today

_DAYS_NAMED = 5
_COLUMNS_NAMED = 5
_KINDS_NAMED = 3

_Columns = tuple[tuple[str, str], ...]
_Form = tuple[_Columns, frozenset[str]]
"""A file's columns, and those whose statistics must not be used."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a query reads of one dataset: the snapshot, and the objects that are planned.

    One that reads a whole dataset is used again by later queries, and with it what depends on
    each of a thousand objects.
    """

    snapshot: Snapshot
    wanted: tuple[Wanted, ...]
    missing: tuple[date, ...] = ()
    """Days that the query asks for and that should be stored between others, but are not."""

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
        self._forms: dict[str, _Form | None] = {}
        self.changes = 0
        """Counts what was learned and forgotten: while it is the same, so are all answers."""
        # Thousands of files share one form: it is kept once.
        self._shared: dict[_Form, _Form] = {}
        # Only of files that lack columns: which, and what dataset the lake wrote them for.
        self._lacking: dict[str, tuple[tuple[str, ...], str]] = {}
        # By dataset and day: the ETag of an object from elsewhere, and which columns it lacks. Days
        # are here also when a segment has their rows, and no file is looked at.
        self._foreign: dict[str, dict[date, tuple[str, tuple[str, ...]]]] = {}

    def learn(self, facts: Iterable[FileFacts]) -> None:
        """Take what a worker read from footers."""
        for fact in facts:
            self.changes += 1
            if fact.columns is None:
                self._forms[fact.file] = None
            else:
                form = fact.columns, frozenset(fact.misread)
                self._forms[fact.file] = self._shared.setdefault(form, form)
            if fact.lacks:
                self._lacking[fact.file] = fact.lacks, fact.written_for

    def forget(self, file: str) -> None:
        """Drop what is known about a file that is not cached any more."""
        self.changes += 1
        self._forms.pop(file, None)
        self._lacking.pop(file, None)

    def view(self, part: Part, files: Sequence[str]) -> View:
        """A dataset's view over the files of its planned objects, unreadable ones left out."""
        dataset = part.snapshot.dataset
        new: list[str] = []
        groups: dict[_Columns, list[str]] = {}
        misread: dict[_Columns, frozenset[str]] = {}
        for file in files:
            if file not in self._forms:
                new.append(file)
            elif (form := self._forms[file]) is not None:
                columns, of_file = form
                groups.setdefault(columns, []).append(file)
                if of_file:
                    misread[columns] = misread.get(columns, frozenset()) | of_file
        return View(
            name=dataset.sql_name,
            columns=tuple((column.name, column.type.sql) for column in dataset.columns),
            groups=tuple(
                FileGroup(
                    columns=columns,
                    files=tuple(members),
                    misread=tuple(sorted(misread.get(columns, ()))),
                )
                for columns, members in groups.items()
            ),
            new_files=tuple(new),
        )

    def warnings(self, part: Part, files: Sequence[str]) -> Iterable[str]:
        """What the caller should know about objects that can't be read."""
        name = part.snapshot.dataset.sql_name
        bad = [
            one.partition.day
            for one, file in zip(part.wanted, files, strict=True)
            if file in self._forms and self._forms[file] is None
        ]
        if bad:
            yield f"`{name}`: left out {_named(bad)}, because the stored data can't be read"
        if self._lacking:
            self._note_foreign(part, files)

    def _note_foreign(self, part: Part, files: Sequence[str]) -> None:
        dataset = part.snapshot.dataset
        for one, file in zip(part.wanted, files, strict=True):
            lacks, written_for = self._lacking.get(file, ((), ""))
            # A day that the lake wrote before a column was declared has nulls by right.
            if lacks and written_for != dataset.partition:
                of_dataset = self._foreign.setdefault(dataset.sql_name, {})
                of_dataset[one.partition.day] = one.partition.etag, lacks

    def _foreign_warnings(self, part: Part) -> Iterable[str]:
        name = part.snapshot.dataset.sql_name
        known = self._foreign.get(name)
        if not known:
            return
        by_columns: dict[tuple[str, ...], list[date]] = {}
        for one in part.wanted:
            etag, lacks = known.get(one.partition.day, ("", ()))
            if etag == one.partition.etag:
                by_columns.setdefault(lacks, []).append(one.partition.day)
        for lacks, days in itertools.islice(by_columns.items(), _KINDS_NAMED):
            columns = ", ".join(f"`{column}`" for column in lacks[:_COLUMNS_NAMED])
            more = f" and {len(lacks) - _COLUMNS_NAMED} more" * (len(lacks) > _COLUMNS_NAMED)
            yield (
                f"`{name}`: the data of {_named(days)} was not written by the lake and has no "
                f"{columns}{more}: NULL in every row of it"
            )
        if len(by_columns) > _KINDS_NAMED:
            others = sum(map(len, list(by_columns.values())[_KINDS_NAMED:]))
            yield f"`{name}`: {others} more days were not written by the lake and lack columns"

    def day_warnings(self, part: Part) -> Iterable[str]:
        """What the caller should know about the days that are planned."""
        name, days_there = part.snapshot.dataset.sql_name, part.snapshot.days
        dataset = part.snapshot.dataset
        today = utc_today()
        possible = possible_days(dataset, days_there, today=today) or days_there
        if not days_there:
            yield f"`{name}` has no data yet"
        elif not part.wanted:
            yield (
                f"`{name}` has no day that the filter on `date` asks for; "
                f"it has {possible[0]} to {possible[-1]}"
            )
        elif part.missing:
            yield f"`{name}`: {_named(part.missing)} should be stored and is not"
        yield from _impossible(part, today)
        yield from self._foreign_warnings(part)
        failed = part.snapshot.failed_checks
        wanted = (one.partition.day for one in part.wanted)
        # The newest days are what most ask about.
        flagged = sorted((day for day in wanted if day in failed), reverse=True)
        for day in flagged[:_DAYS_NAMED]:
            for check, found in failed[day].items():
                yield f"`{name}`: {day} failed the check {check}: {found}"
        if len(flagged) > _DAYS_NAMED:
            yield f"`{name}`: {len(flagged) - _DAYS_NAMED} more days failed a check"


def _impossible(part: Part, today: date) -> Iterable[str]:
    """What the caller should know about planned days that the lake can't have written."""
    dataset, wanted = part.snapshot.dataset, part.wanted
    if not wanted:
        return
    name, last = dataset.sql_name, last_possible_day(today)
    if wanted[-1].partition.day > last:
        days = [one.partition.day for one in wanted if one.partition.day > last]
        yield f"`{name}`: {_named(days)} in the future: the lake did not write these rows"
    if wanted[0].partition.day < dataset.first_day:
        days = [one.partition.day for one in wanted if one.partition.day < dataset.first_day]
        yield (
            f"`{name}`: {_named(days)} before the dataset's first day, {dataset.first_day}: "
            "the lake did not write these rows"
        )


def _named(days: Sequence[date]) -> str:
    """The first days, and how many more there are."""
    named = ", ".join(map(str, days[:_DAYS_NAMED]))
    return f"{named} and {len(days) - _DAYS_NAMED} more" if len(days) > _DAYS_NAMED else named
