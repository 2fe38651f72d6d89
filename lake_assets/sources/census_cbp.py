"""Businesses of the county: County and ZIP Code Business Patterns (CBP) of the Census Bureau.

**What.** Establishments, employees and payroll by industry: of the county by size of establishment
as well, of its ZIP codes (a setting) in all sizes together. All legal forms together.

**Pages.** None (`census`).

**A day, not published yet:** as in `census`. A year comes 18 to 24 months after its end.

**A revision** is a changed figure, flag or name.

**Traps.** Industry codes are called by their version, as `NAICS2017`: which one it is, is read from
the variables, and the newest that has data is taken. Without filters on size and legal form,
everything comes in each of them, and again in total. Payroll is in 1,000 dollars. Cells of fewer
than 3 establishments are left out. Where the Bureau publishes establishments only (a ZIP code's
industries, size classes), and where `D` or `S` says that a figure is withheld, employees and
payroll are 0: they are null here. ZIP codes before 2019 are in another dataset, `zbp`.

**Unconfirmed:** that all of these columns are there in every year (those that are not are null).
"""

import re
from collections.abc import Iterator, Mapping

from lake_assets.sources import config
from lake_assets.sources.census import GONE, Vintage, every_vintage
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.values import Cells, kept, text, whole

_ALL_INDUSTRIES, _ALL = "00", "001"
_NOISE_ONLY = {None, "G", "H", "J"}
_NEEDED = ("ESTAB", "EMP", "PAYANN")
_OPTIONAL = ("NAME", "EMPSZES_LABEL", "EMP_N", "PAYANN_N", "PAYQTR1", "PAYQTR1_N")


def collect(ask: Ask) -> Iterator[Row]:
    """The county and its ZIP codes, in all years."""
    years = ask.known.values("reference_year", other_than=ask.day) if ask.known else set()
    return every_vintage(
        ask,
        ("cbp",),
        _vintage,
        first=whole(ask.settings["CENSUS_CBP_FIRST_YEAR"], "CENSUS_CBP_FIRST_YEAR") or 0,
        stored={("cbp", year) for (year,) in years},
    )


def _vintage(vintage: Vintage) -> Iterator[Row]:
    variables = vintage.variables()
    attributes = ",".join(variable.attributes for variable in variables.values())
    names = {*variables, *config.listed(attributes)}
    industries = sorted((n for n in variables if re.fullmatch(r"NAICS\d{4}", n)), reverse=True)
    if not industries:
        raise SourceMismatch(f"{vintage} has no variable NAICS…")
    for level, filters in _areas(vintage.ask.settings).items():
        for industry in industries:
            optional = [n for n in (*_OPTIONAL, f"{industry}_LABEL") if n in names]
            rows = list(vintage.cells([*_NEEDED, *optional], {**filters, industry: "*"}))
            for cells in rows:
                yield _row(vintage, level, industry, cells)
            if rows:
                break


def _areas(settings: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """How to ask for the areas of each level."""
    state, county = f"state:{settings['CENSUS_STATE']}", f"county:{settings['CENSUS_COUNTY']}"
    zip_codes = ",".join(config.listed(settings["CENSUS_ZIP_CODES"]))
    return {
        "county": {"for": county, "in": state, "EMPSZES": "*", "LFO": _ALL},
        "zip": {"for": f"zip code:{zip_codes}", "EMPSZES": _ALL, "LFO": _ALL},
    }


def _row(vintage: Vintage, level: str, industry: str, cells: Cells) -> Row:
    zip_code, county = text(cells.get("zip code")), text(cells.get("county"))
    state, code, size = vintage.ask.settings["CENSUS_STATE"], cells[industry], cells["EMPSZES"]
    in_full = size == _ALL and (level == "county" or code == _ALL_INDUSTRIES)
    return {
        "reference_year": vintage.year,
        "geo_level": level,
        "geo_id": zip_code or f"{state}{county}",
        "geo_name": text(cells.get("NAME")),
        "state_fips": state,
        "county_fips": county,
        "zip_code": zip_code,
        "naics_version": industry.removeprefix("NAICS"),
        "naics_code": text(code),
        "naics_label": text(cells.get(f"{industry}_LABEL")),
        "empszes": text(size),
        "empszes_label": text(cells.get("EMPSZES_LABEL")),
        "lfo": text(cells["LFO"]),
        "establishments": kept(whole, cells["ESTAB"], "ESTAB"),
        "employees": _published(cells, "EMP", in_full=in_full),
        "employees_noise_flag": text(cells.get("EMP_N")),
        "payroll_annual_kusd": _published(cells, "PAYANN", in_full=in_full),
        "payroll_q1_kusd": _published(cells, "PAYQTR1", in_full=in_full),
        "payroll_noise_flag": text(cells.get("PAYANN_N")),
    }


def _published(cells: Cells, column: str, *, in_full: bool) -> int | None:
    if text(cells.get(f"{column}_N")) not in _NOISE_ONLY:
        return None
    found = whole(cells.get(column), column)
    return found if found or in_full else None


COLLECTOR = Collector(upstream=config.CENSUS, collect=collect, reach_d=0, gone=GONE)
