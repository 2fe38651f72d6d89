"""Tables of an open-data portal that runs CKAN: whether a file changed, and its rows.

Belongs here: the portal's API and its habits. Does not belong here: what a table is about.

`datastore_search` is paged by offset until `total` rows came. The portal may give fewer rows than
asked for, so the next offset is what came; where rows moved meanwhile, the count does not fit.
While a file is imported again, its table is gone (404) for some minutes. Where it stays gone, the
file itself is read, as `resource_show` names it (`ckan_file`). Column names change their spelling
from one import to the next, so filters are put in the spelling of the moment.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from lake_assets.sources.answers import Unanswered
from lake_assets.sources.ckan_file import file_rows
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.http import HttpSource
from lake_assets.sources.values import Cells, Written, letters

_PAGE_ROWS = 10_000
_GONE = 404


class Resource(msgspec.Struct):
    """A file of the portal."""

    last_modified: datetime | None = None
    package_id: str | None = None
    id: str = ""
    name: str | None = None
    url: str | None = None
    datastore_active: bool = False


class Shown(msgspec.Struct):
    """Answer of `resource_show`."""

    result: Resource


class Package(msgspec.Struct):
    """A dataset of the portal."""

    resources: list[Resource]


class ShownPackage(msgspec.Struct):
    """Answer of `package_show`."""

    result: Package


class Field(msgspec.Struct):
    """A column of a table."""

    id: str


class Table(msgspec.Struct):
    """A page of rows; `total` counts the rows of all pages."""

    fields: list[Field]
    records: list[dict[str, Written]]
    total: int


class Found(msgspec.Struct):
    """Answer of `datastore_search`."""

    result: Table


class Portal:
    """One CKAN portal."""

    def __init__(self, http: HttpSource, base_url: str, warn: Callable[[str], None]) -> None:
        self._http, self._warn = http, warn
        self._url = f"{base_url}/api/3/action"

    def last_modified(self, resource_id: str) -> datetime | None:
        """When a file was last changed; CKAN's times are UTC without saying so."""
        moment = self._shown(resource_id).last_modified
        return moment and moment.replace(tzinfo=moment.tzinfo or UTC)

    def tables_beside(self, resource_id: str) -> Mapping[str, str]:
        """The tables of the dataset that a file belongs to: names by id."""
        dataset = self._shown(resource_id).package_id
        shown = dataset and self._http.find_json(
            f"{self._url}/package_show", params={"id": dataset}, into=ShownPackage
        )
        files = shown.result.resources if shown else ()
        return {file.id: file.name or "" for file in files if file.datastore_active}

    def rows(self, resource_id: str, where: Mapping[str, Sequence[str]]) -> Sequence[Cells]:
        """All rows of a file whose columns have one of the values in `where`.

        They are read from the file's table, or from the file itself where it has none.

        Raises:
            SourceMismatch: the file has no such column.
            SourceUnavailable: the file changed while it was read.
        """
        try:
            head = self._search(resource_id, limit=0)
        except SourceUnavailable as gone:
            shown = self._shown(resource_id)
            if not (isinstance(gone, Unanswered) and gone.status == _GONE and shown.url):
                raise
            self._warn(f"the table of file {resource_id} is gone; its file was read instead")
            return file_rows(self._http, shown.url, where)
        names = {letters(column.id): column.id for column in head.fields}
        if missing := [name for name in where if letters(name) not in names]:
            raise SourceMismatch(f"file {resource_id}: the column `{missing[0]}` is missing")
        filters = json.dumps({names[letters(name)]: values for name, values in where.items()})
        by_id: dict[Written, Cells] = {}
        offset, total = 0, 1
        while offset < total:
            page = self._search(
                resource_id, filters=filters, sort="_id", limit=_PAGE_ROWS, offset=offset
            )
            by_id |= {record.get("_id"): Cells(record) for record in page.records}
            offset, total = offset + len(page.records), page.total
            if not page.records:
                break
        if len(by_id) != total:
            raise SourceUnavailable(
                f"file {resource_id} changed while it was read: {len(by_id)} of {total} rows came"
            )
        return list(by_id.values())

    def _shown(self, resource_id: str) -> Resource:
        return self._http.get_json(
            f"{self._url}/resource_show", params={"id": resource_id}, into=Shown, remember=True
        ).result

    def _search(self, resource_id: str, **more: str | int) -> Table:
        return self._http.get_json(
            f"{self._url}/datastore_search",
            params={"resource_id": resource_id, **more},
            into=Found,
            transient=lambda status, _text: status == _GONE,
        ).result
