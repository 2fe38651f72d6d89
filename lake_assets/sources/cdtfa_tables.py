"""Tables of CDTFA's open-data portal (OData 4): the rows of one county, page by page.

Belongs here: the portal's API and its habits. Does not belong here: what a table is about.

`$skip` goes on by what came, until `@odata.count` rows came. Where rows moved meanwhile, a row of
an earlier page comes again. `@odata.nextLink` is not followed, for it may lead to `www`, which
redirects. Names of plain tools are turned away, so how we call ourselves is a setting.
"""

from collections.abc import Iterator

import msgspec

from lake_assets.sources.collect import Ask
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.values import Cells, Written, text

_PAGE_ROWS = 5_000


class Page(msgspec.Struct):
    """A page of a table; `count` counts the rows of all pages."""

    value: list[dict[str, Written | bool]]
    count: int = msgspec.field(name="@odata.count")


def county_rows(ask: Ask, table: str, *, order: str) -> Iterator[Cells]:
    """All rows of the county in a table. `order` names columns that tell any two rows apart.

    Raises:
        SourceMismatch: there are none, or they are of other counties too.
        SourceUnavailable: the table changed while it was read.
    """
    county = ask.settings["CDTFA_COUNTY"].replace("'", "''")
    came: set[bytes] = set()
    offset, count = 0, 1
    while offset < count:
        page = ask.http.get_json(
            f"{ask.settings['CDTFA_BASE_URL']}/dataportal/api/odata/{table}",
            params={
                "$filter": f"County eq '{county.upper()}' or County eq '{county.title()}'",
                "$orderby": order,
                "$count": "true",
                "$top": _PAGE_ROWS,
                "$skip": offset,
            },
            headers={"user-agent": ask.settings["CDTFA_USER_AGENT"]},
            into=Page,
        )
        offset, count = offset + len(page.value), page.count
        if not count:
            raise SourceMismatch(f"{table} has no rows of {ask.settings['CDTFA_COUNTY']}")
        here = {msgspec.json.encode(row) for row in page.value}
        if not page.value or came & here:
            raise SourceUnavailable(f"{table} changed while it was read")
        came |= here
        for cells in map(Cells, page.value):
            if (text(cells["County"]) or "").upper() != ask.settings["CDTFA_COUNTY"].upper():
                raise SourceMismatch(f"{table} gives rows of {cells['County']}, not asked for")
            yield cells
