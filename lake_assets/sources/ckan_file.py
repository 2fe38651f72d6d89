"""The rows of a CKAN portal's file, from the file itself.

Belongs here: reading a CSV file, and where it was moved to.
Does not belong here: tables of the portal (`ckan`), what a file is about.

Portals keep files on another host and redirect to it. One redirect is followed, without anything
that the portal was sent. Whatever is no CSV is refused: a page for people is no data here either.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from urllib.parse import urljoin, urlsplit

from lake_assets.sources.answers import CSV, Answer, AskAgain, Moved
from lake_assets.sources.errors import FieldMismatch, SourceMismatch
from lake_assets.sources.http import HttpSource
from lake_assets.sources.values import Cells, letters

_MOST_BYTES = 1024 * 1024 * 1024


def file_rows(http: HttpSource, url: str, where: Mapping[str, Sequence[str]]) -> Sequence[Cells]:
    """All rows of a CSV file whose columns have one of the values in `where`.

    Raises:
        SourceMismatch: it is no CSV file, or has no such column.
        SourceUnavailable: no whole file came.
    """

    def parse(answer: Answer) -> Sequence[Cells]:
        return list(_rows(answer, where))

    try:
        found = http.read(url, kinds=CSV, parse=parse, max_bytes=_MOST_BYTES)
    except Moved as moved:
        target = urljoin(url, moved.location)
        if not moved.location or not target.startswith(("https://", url.partition("//")[0])):
            raise
        if query := urlsplit(target).query:
            # Whoever has a signed link may use it.
            http.secrets = (*http.secrets, f"?{query}")
        found = http.read(target, kinds=CSV, parse=parse, max_bytes=_MOST_BYTES)
    return found or ()


def _rows(answer: Answer, where: Mapping[str, Sequence[str]]) -> Iterator[Cells]:
    text = TextIOWrapper(answer.body, encoding="utf-8-sig", newline="")
    try:
        reader = csv.DictReader(text, strict=True)
        names = {letters(name): name for name in reader.fieldnames or ()}
        if missing := [name for name in where if letters(name) not in names]:
            said = f"{answer.where}: the column `{missing[0]}` is missing"
            raise FieldMismatch(said, field=missing[0], missing=True)
        wanted = {names[letters(name)]: values for name, values in where.items()}
        for row in reader:
            if None in row or None in row.values():
                raise AskAgain(f"{answer.where}: line {reader.line_num} is no whole row")
            if all(row[name] in values for name, values in wanted.items()):
                yield Cells(row)
    except csv.Error as error:
        raise AskAgain(f"{answer.where}: no whole CSV file came: {error}") from error
    except UnicodeDecodeError as error:
        raise SourceMismatch(f"{answer.where}: not in UTF-8: {error.reason}") from None
