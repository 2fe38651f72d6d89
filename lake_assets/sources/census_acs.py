"""Who lives in the county: estimates of the American Community Survey (ACS).

**What.** Per variable (a setting) and area an estimate and its margin of error. `acs/acs5` covers
five years, and areas down to tracts and ZIP code areas; `acs/acs1` one year, and areas of 65,000
people or more: smaller places are not in it.

**Pages.** None (`census`); 24 variables with their margins to a question.

**A day, not published yet:** as in `census`. 1-year data come in September of the year after,
5-year data in December or later. There is no `acs/acs1` of 2020.

**A revision** is a changed figure, label or annotation.

**Traps.** Figures may be codes that look like numbers: -666666666 is no income. A variable may mean
something else in another vintage, so its label is read for each; a dropped one is left out with a
warning. Before 2020, ZIP code areas were asked for within their state.

**Unconfirmed:** that an unknown area of a list is left out of the answer.
"""

from collections.abc import Iterator, Mapping

from lake_assets.sources import config
from lake_assets.sources.census import GONE, Variable, Vintage, every_vintage, figure
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.values import Cells, text, whole

_VARIABLES_A_QUESTION = 24
_ZCTA = "zip code tabulation area"
_ONE_YEAR_LEVELS = ("county", "place")
_FIPS = {
    "county": ("state", "county"),
    "place": ("state", "place"),
    "tract": ("state", "county", "tract"),
    "zcta": (_ZCTA,),
}


def collect(ask: Ask) -> Iterator[Row]:
    """Every variable of every area, in all vintages."""
    columns = ("dataset", "vintage_year")
    return every_vintage(
        ask,
        config.listed(ask.settings["CENSUS_ACS_DATASETS"]),
        _vintage,
        first=whole(ask.settings["CENSUS_ACS_FIRST_VINTAGE"], "CENSUS_ACS_FIRST_VINTAGE") or 0,
        stored=ask.known.values(*columns, other_than=ask.day) if ask.known else (),
    )


def _vintage(vintage: Vintage) -> Iterator[Row]:
    wanted = config.listed(vintage.ask.settings["CENSUS_ACS_VARIABLES"])
    tables = dict.fromkeys(variable.partition("_")[0] for variable in wanted)
    meanings: dict[str, Variable] = {}
    for table in tables:
        meanings |= vintage.variables(f"/groups/{table}.json")
    known = [variable for variable in wanted if f"{variable}E" in meanings]
    first_year = vintage.year - (0 if "acs1" in vintage.dataset else 4)
    about = {"dataset": vintage.dataset, "vintage_year": vintage.year}
    about |= {"period_start_year": first_year, "period_end_year": vintage.year}
    if unknown := set(wanted) - set(known):
        vintage.ask.warn(f"{vintage} does not have {', '.join(sorted(unknown))}")
    for start in range(0, len(known), _VARIABLES_A_QUESTION):
        some = known[start : start + _VARIABLES_A_QUESTION]
        for level, filters in _areas(vintage).items():
            columns = ["NAME", *(f"{variable}{of}" for variable in some for of in "EM")]
            for cells in vintage.cells(columns, filters):
                area = about | _area(level, cells)
                for variable in some:
                    label = _label(meanings[f"{variable}E"])
                    yield area | {"label": label} | _figures(variable, cells)


def _areas(vintage: Vintage) -> Mapping[str, Mapping[str, str]]:
    """How to ask for the areas of each level."""
    settings = vintage.ask.settings
    state, county = f"state:{settings['CENSUS_STATE']}", f"county:{settings['CENSUS_COUNTY']}"
    names = ("CENSUS_PLACES", "CENSUS_ZIP_CODES")
    places, zip_codes = (",".join(config.listed(settings[name])) for name in names)
    every = {
        "county": {"for": county, "in": state},
        "place": {"for": f"place:{places}", "in": state},
        "tract": {"for": "tract:*", "in": f"{state} {county}"},
        "zcta": {"for": f"{_ZCTA}:{zip_codes}"},
    }
    levels = _ONE_YEAR_LEVELS if "acs1" in vintage.dataset else every
    return {level: every[level] for level in levels}


def _area(level: str, cells: Cells) -> dict[str, object]:
    return {
        "geo_level": level,
        "geo_id": "".join(str(cells[name]) for name in _FIPS[level]),
        "geo_name": text(cells["NAME"]),
        "state_fips": text(cells.get("state")),
        "county_fips": text(cells.get("county")),
    }


def _figures(variable: str, cells: Cells) -> dict[str, object]:
    estimate, no_estimate = figure(cells[f"{variable}E"], f"{variable}E")
    margin, no_margin = figure(cells[f"{variable}M"], f"{variable}M")
    reasons = {"estimate": no_estimate, "margin": no_margin}
    said = "; ".join(f"{of}: {reason}" for of, reason in reasons.items() if reason)
    row: dict[str, object] = {"variable": variable, "annotation": said or None}
    return row | {"estimate": estimate, "margin_of_error": margin}


def _label(variable: Variable) -> str:
    """`Tenure: Total: Owner occupied`, of `Estimate!!Total:!!Owner occupied`."""
    parts = [part.rstrip(":") for part in variable.label.removeprefix("Estimate!!").split("!!")]
    return ": ".join(part for part in (variable.concept, *parts) if part)


COLLECTOR = Collector(upstream=config.CENSUS, collect=collect, reach_d=0, gone=GONE)
