"""The data API of the Census Bureau: what its datasets have in common.

Belongs here: asking for vintages, variables and tables; cells as the Bureau writes them.
Does not belong here: which of them are wanted (`census_acs`, `census_cbp`).

**Pages.** None: one answer has all areas that were asked for. It is a list of lists of text, the
names of the columns first; a column that is also a filter stands there twice.

**A day** is the day on which a row was first seen or had changed: all vintages from a first one on
are read every time, so the first run brings their past, and a corrected one is noticed.

**Not published yet.** A vintage is there when it is described; until then that is a 404. One that
the lake has, and that is not there any more, is a fault. So is none at all, unless all are young.
One that is described has its data soon after; a question without any answer is a 204.

**Traps.** The key is in the URL. Without a valid one the answer is a redirect to a page, even for a
vintage that there is not. A question may have 50 variables and about 7,000 characters.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from lake_assets.sources.collect import Ask, Row
from lake_assets.sources.errors import NotPublishedYet, SourceMismatch
from lake_assets.sources.values import Cells, Written, kept, number, text

Shape = TypeVar("Shape")

GONE = "the Census Bureau shows its present state only, which belongs to today"

_LATEST_Y = 3
_SENTINEL = re.compile(r"-([1-9])\1{8}(\.0*)?")
_MEANINGS = {
    "2": "too few observations for a margin of error",
    "3": "the median lies in an open-ended interval",
    "5": "the estimate is controlled to a known total",
    "6": "too few observations for an estimate",
    "8": "not applicable or not available",
    "9": "too few cases in the area",
}


class Description(msgspec.Struct):
    """Answer of `/data/2024/acs/acs5.json`."""

    dataset: list[dict[str, object]]


class Variable(msgspec.Struct):
    """What a variable means; `attributes` names those that go with it."""

    label: str = ""
    concept: str = ""
    attributes: str = ""


class Variables(msgspec.Struct):
    """Answer of `…/variables.json` and of `…/groups/B19013.json`."""

    variables: dict[str, Variable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vintage:
    """One dataset of one year, such as `acs/acs5` of 2024."""

    ask: Ask
    dataset: str
    year: int

    def __str__(self) -> str:
        return f"{self.dataset} of {self.year}"

    @property
    def is_published(self) -> bool:
        """Whether the Bureau describes it."""
        return self._find(".json", Description) is not None

    def variables(self, path: str = "/variables.json") -> Mapping[str, Variable]:
        """What it has, or one table of it; nothing where there is no such table."""
        found = self._find(path, Variables)
        return found.variables if found else {}

    def cells(self, columns: Sequence[str], filters: Mapping[str, str]) -> Iterator[Cells]:
        """The areas that were asked for; none where there are no data.

        Raises:
            SourceMismatch: a row does not fit its header.
        """
        params = {"get": ",".join(columns), **filters}
        header, *rows = self._find("", list[list[Written]], params) or [[]]
        for row in rows:
            if len(row) != len(header):
                raise SourceMismatch(f"{self}: a row has {len(row)} of {len(header)} cells")
            yield Cells(dict(zip(map(str, header), row, strict=True)))

    def _find(
        self, path: str, into: type[Shape], params: Mapping[str, str] | None = None
    ) -> Shape | None:
        settings = self.ask.settings
        return self.ask.http.find_json(
            f"{settings['CENSUS_BASE_URL']}/data/{self.year}/{self.dataset}{path}",
            params={**(params or {}), "key": settings["CENSUS_API_KEY"]},
            into=into,
            absent=(204, 404),
        )


def every_vintage(
    ask: Ask,
    datasets: Sequence[str],
    rows: Callable[[Vintage], Iterator[Row]],
    *,
    first: int,
    stored: Collection[tuple[object, ...]],
) -> Iterator[Row]:
    """The rows of all vintages since `first`; `stored` are datasets and years that the lake has.

    Raises:
        NotPublishedYet: none is there, and all are young.
        SourceMismatch: one that must be there is not, or has no data.
    """
    came = 0
    for dataset in datasets:
        before = came
        for year in range(first, ask.now.year):
            vintage, already = Vintage(ask=ask, dataset=dataset, year=year), came
            if is_published := vintage.is_published:
                for row in rows(vintage):
                    came += 1
                    yield row
            if came == already and (dataset, year) in stored:
                raise SourceMismatch(f"{vintage} was there before, and is gone")
            if came == already and is_published:
                ask.warn(f"{vintage} is there, but without data of these areas")
        if came == before and first <= ask.now.year - _LATEST_Y:
            raise SourceMismatch(f"{dataset}: no data of these areas, in no year since {first}")
    if not came:
        raise NotPublishedYet(f"the Census Bureau has no data since {first}")


def figure(value: Written, column: str) -> tuple[Written, str | None]:
    """A number, or why there is none: -666666666 and its like are codes.

    What is neither goes on as it came.
    """
    found = text(value)
    if found is None:
        return None, "not published"
    if code := _SENTINEL.fullmatch(found):
        return None, _MEANINGS.get(code[1], f"not published (code {found})")
    return kept(number, found, column), None
