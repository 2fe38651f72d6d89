"""data.ca.gov as the EDD collector sees it: `resource_show` and `datastore_search` of CKAN."""

import csv
import json
from calendar import month_name
from collections.abc import Mapping
from datetime import date
from io import StringIO

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

LAUS_ID = "laus-0001"
CES_OLD_ID = "ces-0001"
CES_NEW_ID = "ces-0002"


def laus(year: int, month: int, *, adjusted: str = "N", status: str = "Final", **more: object):
    return {
        "Area Name": "Santa Clara County",
        "Area Type": "County",
        "Year": str(year),
        "Month": month_name[month],
        "Date_Numeric": f"{month:02}/{year}",
        "Seasonally Adjusted(Y/N)": adjusted,
        "Status": status,
        "Labor Force": "1041200",
        "Employment": "993100",
        "Unemployment": "48100",
        "Unemployment Rate": "4.6",
    } | more


def ces(year: int, month: int, code: str, title: str, jobs: str, **more: object):
    return {
        "Area Name": "San Jose-Sunnyvale-Santa Clara MSA",
        "Year": str(year),
        "Month": month_name[month],
        "Date": f"{month}/1/{year}",
        "Series Code": code,
        "Seasonally Adjusted (Y/N)": "N",
        "Industry Title": title,
        "Current Employment": jobs,
    } | more


class FakeEdd(Fake):
    """`tables` and `modified` by resource id; `page_rows` is the most that one answer holds.

    Files in `without_table` are there as files only, behind a redirect as on the real portal.
    """

    name = "edd"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.page_rows = 32_000
        self.without_table: set[str] = set()
        year = today.year
        elsewhere = {"Area Name": "Alameda County"}
        self.tables: dict[str, list[dict[str, object]]] = {
            LAUS_ID: [laus(year, month) for month in (7, 8)]
            + [laus(year, 9, status="Preliminary"), laus(year, 9, **elsewhere)],
            CES_OLD_ID: [ces(year - 1, 12, "0", "Total Nonfarm", "1140000")],
            CES_NEW_ID: [
                ces(year, 9, "00000000", "Total Nonfarm", "1146700"),
                ces(year, 9, "05000000", "Total Private", "1043200"),
            ],
        }
        self.ces_files = [CES_OLD_ID, CES_NEW_ID]
        self.modified = dict.fromkeys(self.tables, f"{year}-11-20T17:02:11.120000")

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "EDD_BASE_URL": self.url,
            "EDD_REQUESTS_PER_S": "1000",
            "EDD_LAUS_RESOURCES": LAUS_ID,
            "EDD_CES_RESOURCES": f"{CES_OLD_ID},{CES_NEW_ID}",
        }

    def answer(self, request: Request) -> Reply:
        action = request.path.removeprefix("/api/3/action/")
        if action == "package_show" and request.query["id"] == "ces":
            listed = [
                {"id": each, "name": f"CES {n}", "datastore_active": True}
                for n, each in enumerate(self.ces_files)
            ]
            guide = {"id": "guide", "name": "Guide", "format": "PDF", "datastore_active": False}
            found = {"id": "ces", "resources": [*listed, guide]}
            return as_json({"help": "", "success": True, "result": found})
        if request.path.startswith("/dataset/"):
            resource = request.path.split("/")[2]
            return Reply(status=302, headers={"location": f"{self.url}/files/{resource}.csv?sig=x"})
        if request.path.startswith("/files/"):
            return self._file(request.path.removeprefix("/files/").removesuffix(".csv"))
        resource = request.query.get("id") or request.query.get("resource_id", "")
        gone = action == "datastore_search" and resource in self.without_table
        if (
            gone
            or resource not in self.tables
            or action not in {"resource_show", "datastore_search"}
        ):
            error = {"__type": "Not Found Error", "message": "Not found: Resource was not found."}
            return as_json({"help": "", "success": False, "error": error}, status=404)
        if action == "resource_show":
            shown = {"id": resource, "last_modified": self.modified[resource], "format": "CSV"}
            shown |= {"url": f"{self.url}/dataset/{resource}/download/file.csv"}
            shown |= {"package_id": "laus" if resource == LAUS_ID else "ces"}
            return as_json({"help": "", "success": True, "result": shown})
        return as_json({"help": "", "success": True, "result": self._table(resource, request)})

    def _file(self, resource: str) -> Reply:
        text = StringIO()
        columns = list(dict.fromkeys(name for row in self.tables[resource] for name in row))
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(self.tables[resource])
        body = text.getvalue().encode("utf-8-sig")
        return Reply(headers={"content-type": "application/octet-stream"}, body=body)

    def _table(self, resource: str, request: Request) -> dict[str, object]:
        rows = [{"_id": i} | row for i, row in enumerate(self.tables[resource], start=1)]
        for column, values in json.loads(request.query.get("filters", "{}")).items():
            accepted = values if isinstance(values, list) else [values]
            rows = [row for row in rows if row[column] in accepted]
        limit = min(int(request.query.get("limit", 100)), self.page_rows)
        offset = int(request.query.get("offset", 0))
        columns = list(dict.fromkeys(name for row in self.tables[resource] for name in row))
        return {
            "resource_id": resource,
            "fields": [{"id": name, "type": "text"} for name in ("_id", *columns)],
            "records": rows[offset : offset + limit],
            "total": len(rows),
            "limit": limit,
        }
