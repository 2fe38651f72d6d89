"""The Census Bureau's data API as the collectors see it: descriptions, variables, tables, keys."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

KEY = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
ACS5, ACS1, CBP = "acs/acs5", "acs/acs1", "cbp"
ZCTA = "zip code tabulation area"
MOST_VARIABLES = 50
_LEVELS = {"state", "county", "place", "tract", ZCTA, "zip code"}

VARIABLES: dict[str, tuple[str, str]] = {
    "B01003_001": ("Total Population", "Estimate!!Total"),
    "B19013_001": (
        "Median Household Income in the Past 12 Months",
        "Estimate!!Median household income in the past 12 months",
    ),
    "B25003_002": ("Tenure", "Estimate!!Total:!!Owner occupied"),
}

AREAS: Sequence[Mapping[str, str]] = (
    {"NAME": "Santa Clara County, California", "state": "06", "county": "085"},
    {"NAME": "Campbell city, California", "state": "06", "place": "10345"},
    {"NAME": "San Jose city, California", "state": "06", "place": "68000"},
    {"NAME": "Fresno city, California", "state": "06", "place": "27000"},
    {"NAME": "Census Tract 5001", "state": "06", "county": "085", "tract": "500100"},
    {"NAME": "Census Tract 5135.01", "state": "06", "county": "085", "tract": "513501"},
    {"NAME": "ZCTA5 95112", ZCTA: "95112"},
)
"""What the 5-year data cover; the 1-year data leave out Campbell, tracts and ZIP code areas."""


def cbp(geo: str, naics: str, size: str, estab: int, emp: int, **more: str):
    """A line of the business patterns; `geo` is `county` or a ZIP code."""
    place = {"state": "06", "county": "085"} if geo == "county" else {"zip code": geo}
    name = "Santa Clara County, California" if geo == "county" else f"ZIP {geo} (San Jose, CA)"
    return {
        "NAME": name,
        "NAICS2017": naics,
        "NAICS2017_LABEL": {"00": "Total for all sectors"}.get(naics, f"Industry {naics}"),
        "EMPSZES": size,
        "EMPSZES_LABEL": {"001": "All establishments"}.get(size, f"Size class {size}"),
        "LFO": "001",
        "ESTAB": f"{estab}",
        "EMP": f"{emp}",
        "EMP_N": "G",
        "PAYANN": f"{emp * 193}",
        "PAYANN_N": "G",
        "PAYQTR1": f"{emp * 51}",
        **place,
        **more,
    }


class FakeCensus(Fake):
    """`years` are the vintages that are out, by dataset; `values` changes cells of the ACS.

    `values` is keyed by dataset, year, name of the area and column.
    """

    name = "census"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        newest = today.year - 2
        self.years: dict[str, list[int]] = {
            ACS5: [newest - 1, newest],
            ACS1: [newest - 1, newest],
            CBP: [newest - 2, newest - 1],
        }
        self.variables = dict(VARIABLES)
        self.areas = [dict(area) for area in AREAS]
        self.values: dict[tuple[str, int, str, str], Any] = {}
        self.industries = ["NAICS2017"]
        self.patterns = [
            cbp("county", "00", "001", 49_120, 1_093_220),
            cbp("county", "00", "260", 120, 0),
            cbp("county", "31-33", "001", 2_210, 152_300, EMP_N="H"),
            cbp("county", "9999", "001", 4, 0, EMP_N="D", PAYANN_N="D"),
            cbp("county", "00", "001", 30_000, 900_000, LFO="930"),
            cbp("95112", "00", "001", 2_901, 40_010),
            cbp("95112", "722511", "001", 88, 0),
            cbp("95112", "00", "210", 1_500, 0),
        ]

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "CENSUS_BASE_URL": self.url,
            "CENSUS_API_KEY": KEY,
            "CENSUS_REQUESTS_PER_S": "1000",
            "CENSUS_ACS_VARIABLES": ",".join(self.variables),
            "CENSUS_ACS_FIRST_VINTAGE": str(min(self.years[ACS5])),
            "CENSUS_CBP_FIRST_YEAR": str(min(self.years[CBP])),
        }

    def answer(self, request: Request) -> Reply:
        _, _, year, path = request.path.split("/", 3)
        dataset = next((name for name in self.years if path.startswith(name)), "")
        if int(year) not in self.years.get(dataset, []):
            return _not_found()
        rest = path.removeprefix(dataset)
        if rest == ".json":
            return as_json({"dataset": [{"c_vintage": int(year), "c_dataset": dataset.split("/")}]})
        if rest == "/variables.json":
            return as_json({"variables": self._cbp_variables()})
        if rest.startswith("/groups/"):
            return self._group(rest.removeprefix("/groups/").removesuffix(".json"))
        if request.query.get("key") != KEY:
            return _to_key_page(request.query.get("key"))
        lines = self._acs(dataset, int(year)) if dataset != CBP else iter(self.patterns)
        return self._table(lines, request.query)

    def _group(self, table: str) -> Reply:
        found: dict[str, object] = {}
        for name, (concept, label) in self.variables.items():
            if name.startswith(f"{table}_"):
                found[f"{name}E"] = {"label": label, "concept": concept, "predicateType": "int"}
                margin = label.replace("Estimate", "Margin of Error")
                found[f"{name}M"] = {"label": margin, "concept": concept, "predicateType": "int"}
        return as_json({"variables": found}) if found else _not_found()

    def _cbp_variables(self) -> Mapping[str, object]:
        plain = {name: {"label": name, "predicateType": "int"} for name in ("LFO", "PAYQTR1")}
        noisy = {name: {"label": name, "attributes": f"{name}_N"} for name in ("EMP", "PAYANN")}
        coded = {
            name: {"label": name, "attributes": f"{name}_LABEL"}
            for name in (*self.industries, "EMPSZES")
        }
        return plain | noisy | coded | {"NAME": {"label": "Name"}, "ESTAB": {"label": "Number"}}

    def _acs(self, dataset: str, year: int) -> Iterator[Mapping[str, Any]]:
        for area in self.areas:
            if dataset == ACS1 and ({"tract", ZCTA} & area.keys() or "Campbell" in area["NAME"]):
                continue
            line: dict[str, Any] = dict(area)
            for place, name in enumerate(self.variables, start=1):
                line[f"{name}E"] = f"{place * 1_000 + year + len(area['NAME'])}"
                line[f"{name}M"] = f"{place * 10}"
            changes = {
                column: value
                for (of, vintage, where, column), value in self.values.items()
                if (of, vintage, where) == (dataset, year, area["NAME"])
            }
            yield line | changes

    def _table(self, lines: Iterator[Mapping[str, Any]], query: Mapping[str, str]) -> Reply:
        columns = query["get"].split(",")
        if len(columns) > MOST_VARIABLES:
            return _refused("error: more than 50 variables")
        level, wanted = query["for"].split(":")
        within = dict(pair.split(":") for pair in query.get("in", "").split() if pair)
        filters = {name: query[name] for name in query if name not in {"get", "for", "in", "key"}}
        below = [*within, level]
        found = [
            line
            for line in lines
            if line.keys() & _LEVELS == set(below)
            and (wanted == "*" or line[level] in wanted.split(","))
            and all(line[name] == code for name, code in within.items())
            and all(name in line and code in {"*", line[name]} for name, code in filters.items())
        ]
        if unknown := [name for line in found for name in columns if name not in line]:
            return _refused(f"error: error: unknown variable '{unknown[0]}'")
        if not found:
            return Reply(status=204)
        header = [*columns, *filters, *below]
        return as_json([header, *([line[name] for name in header] for line in found)])


def _refused(text: str) -> Reply:
    return Reply(status=400, headers={"content-type": "text/plain"}, body=text.encode())


def _not_found() -> Reply:
    page = b"<!doctype html><html><title>HTTP Status 404</title></html>"
    return Reply(status=404, headers={"content-type": "text/html"}, body=page)


def _to_key_page(key: str | None) -> Reply:
    page = "invalid_key" if key else "missing_key"
    headers = {"location": f"/data/{page}.html", "X-DataWebAPI-KeyError": "1"}
    return Reply(status=302, headers=headers)
