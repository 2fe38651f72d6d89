"""Files of the IRS Statistics of Income: what a line says, and whether the file is whole.

Belongs here: the form of one file. Does not belong here: which files there are, and when (`irs`).

CSV of the whole country, some 160 columns wide and up to 200 MB long, in Latin-1; only the lines of
the areas asked for are kept. From year to year columns change their case, ids have leading zeros or
not, and counts are written `300` or `300.0000`. Nothing says how many lines there should be; but
every file has all 50 states and Washington, DC, and every line has as many cells as the header.
"""

import codecs
import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from lake_assets.sources.answers import Answer, AskAgain
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.values import Cells, kept, number, text, whole

_STATES = 51
_MIDDLE = ("$25,000 under $50,000", "$50,000 under $75,000", "$75,000 under $100,000")
_HIGHER = (*_MIDDLE, "$100,000 under $200,000", "$200,000 or more")
_FIGURES = {
    "num_returns": "N1",
    "num_individuals": "N2",
    "agi_kusd": "A00100",
    "wages_returns": "N00200",
    "wages_kusd": "A00200",
    "interest_kusd": "A00300",
    "dividends_kusd": "A00600",
    "business_income_kusd": "A00900",
    "capital_gains_kusd": "A01000",
    "total_tax_liability_kusd": "A10300",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Geography:
    """What has a line of its own: the column with its id, and the words for `AGI_STUB`."""

    level: str
    column: str
    digits: int
    brackets: tuple[str, ...]


COUNTY = Geography(
    level="county",
    column="COUNTYFIPS",
    digits=3,
    brackets=("all", "under $1", "$1 under $10,000", "$10,000 under $25,000", *_HIGHER),
)
ZIP = Geography(
    level="zip", column="ZIPCODE", digits=5, brackets=("all", "$1 under $25,000", *_HIGHER)
)


def rows_of(
    answer: Answer, geography: Geography, *, state: str, areas: Collection[str]
) -> Iterator[dict[str, object]]:
    """What the file says of some areas of a state.

    Raises:
        SourceMismatch: a column is missing, or a cell is not of its kind.
        AskAgain: the file ends too early.
    """
    if answer.body.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        answer.body.seek(0)
    lines = csv.reader(io.TextIOWrapper(answer.body, encoding="latin-1", newline=""))
    states: set[str] = set()
    try:
        head = [name.strip().upper() for name in next(lines, [])]
        if missing := {"STATEFIPS", geography.column} - {*head}:
            raise SourceMismatch(f"{answer.where}: the column `{min(missing)}` is missing")
        state_at, area_at = head.index("STATEFIPS"), head.index(geography.column)
        for line in filter(None, lines):
            if len(line) != len(head):
                raise csv.Error(f"line {lines.line_num} has {len(line)} of {len(head)} cells")
            found, area = line[state_at].strip().zfill(2), line[area_at].strip()
            states.add(found)
            if found == state and area.zfill(geography.digits) in areas:
                yield _row(dict(zip(head, line, strict=True)), geography)
        if len(states) < _STATES:
            raise csv.Error(f"{len(states)} of {_STATES} states")
    except csv.Error as error:
        raise AskAgain(f"{answer.where}: the file broke off: {error}") from error


def _row(line: Mapping[str, str], geography: Geography) -> dict[str, object]:
    cells, words = Cells(line), geography.brackets
    stub = whole(cells["AGI_STUB"], "AGI_STUB")
    if stub is None or not 0 <= stub < len(words):
        raise SourceMismatch(f"AGI_STUB {stub} of a {geography.level} is unknown")
    area, is_county = line[geography.column].strip().zfill(geography.digits), geography is COUNTY
    raw = {name: _plain(cell) for name, cell in line.items()}
    return {
        "geo_level": geography.level,
        "state_fips": line["STATEFIPS"].strip().zfill(2),
        "state": text(cells["STATE"]),
        "county_fips": area if is_county else None,
        "county_name": text(cells["COUNTYNAME"]) if is_county else None,
        "zip_code": None if is_county else area,
        "agi_stub": stub,
        "agi_bracket": words[stub],
        **{name: kept(whole, cells[column], column) for name, column in _FIGURES.items()},
        "raw": msgspec.json.encode(raw, order="sorted").decode(),
    }


def _plain(cell: str) -> str | int | float | None:
    """A cell as a number if it is one, so that another spelling of it is no revision."""
    try:
        found = number(cell, "")
    except SourceMismatch:
        return text(cell)
    return int(found) if found is not None and found.is_integer() else found
