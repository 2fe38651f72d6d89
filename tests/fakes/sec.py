"""SEC EDGAR, both hosts on one server, with its habits: New York days, and 403 for what is missing.

With `limit_per_s` it blocks who asks faster, as EDGAR does, until it is told otherwise.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json
from tests.fakes.sec_documents import Filed, Filer, columns, day_of, facts, header, index, notice

ROBOTS = Filer(
    cik=1001,
    name="Robots of San José, Inc.",
    city="SAN JOSE",
    state="CA",
    zip_code="95112",
    ticker="RSJ",
)
CHIPS = Filer(
    cik=1002,
    name="CHIPS CORP /CA/",
    city="Nowhere",
    state="CA",
    zip_code="94086-1234",
    ticker="CHP",
)
FAR = Filer(cik=1003, name="FAR CORP", city="San Jose", state="NY", zip_code="10001", ticker="FAR")
PERSON = Filer(cik=1004, name="DOE JANE", city="SAN JOSE", state="CA", zip_code="95112")
SEED = Filer(cik=2001, name="Seed & Co", city="Palo Alto", state="CA", zip_code="00000")
ROUND = Filer(cik=2002, name="Round Inc", city="ELSEWHERE", state="CA", zip_code="95014")
TEXAN = Filer(cik=2003, name="Texan Fund LP", city="San Jose", state="TX", zip_code="78701")
PUBLIC = (ROBOTS, CHIPS, FAR)

_RECENT_D, _KEPT_D = 30, 400
_SEC_PAGE = b"<!DOCTYPE html><html><head><title>SEC.gov | Request Rate Threshold Exceeded</title>"
_MISSING = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code></Error>'


class FakeSec(Fake):
    """The same filings every business day, `notices` Forms D of far-away issuers among them.

    `index_until` is the last day with an index; on `holidays` nobody files. `documents` are by path
    what is answered instead.
    """

    name = "sec"

    def __init__(self, today: date = TODAY, *, limit_per_s: int | None = None) -> None:
        super().__init__(today)
        self.index_until = today - timedelta(days=1)
        self.holidays: set[date] = set()
        self.notices = 1
        self.without_header: set[str] = set()
        self.without_facts = {ROBOTS.cik}
        self.documents: dict[str, bytes] = {}
        self.limit_per_s = limit_per_s
        self.blocked = 0

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "SEC_USER_AGENT": "Example Company admin@example.com",
            "SEC_BASE_URL": self.url,
            "SEC_DATA_BASE_URL": self.url,
            "SEC_REQUESTS_PER_S": "1000",
        }

    def filed(self, day: date) -> Sequence[Filed]:
        """What is filed on a day."""
        if day.weekday() >= 5 or day in self.holidays:
            return ()
        kinds: list[tuple[str, Sequence[Filer]]] = [
            ("8-K", [ROBOTS]),
            ("4", [ROBOTS, PERSON]),
            ("10-Q", [FAR]),
            ("10-Q", [CHIPS]),
            ("D", [SEED]),
            ("D/A", [ROUND]),
            ("D", [TEXAN, SEED]),
            *[("D", [TEXAN])] * self.notices,
        ]
        return [
            Filed(day=day, place=place, form=form, filers=filers)
            for place, (form, filers) in enumerate(kinds, start=1)
        ]

    def answer(self, request: Request) -> Reply:
        if self._blocks(request):
            self.blocked += 1
            return Reply(status=403, headers={"content-type": "text/html"}, body=_SEC_PAGE)
        if request.path in self.documents:
            kind = request.path.rpartition(".")[2]
            return _file(self.documents[request.path], f"application/{kind}")
        parts = request.path.strip("/").split("/")
        if parts[:3] == ["Archives", "edgar", "daily-index"]:
            return self._index(int(parts[3]), int(parts[4].removeprefix("QTR")), parts[5])
        if parts[:3] == ["Archives", "edgar", "data"] and parts[-1] == "primary_doc.xml":
            return self._notice(parts[4])
        if parts[:3] == ["Archives", "edgar", "data"] and parts[-1].endswith(".hdr.sgml"):
            return self._header(parts[-1].removesuffix(".hdr.sgml"))
        if parts == ["files", "company_tickers.json"]:
            return as_json(
                {
                    str(place): {"cik_str": filer.cik, "ticker": filer.ticker, "title": filer.name}
                    for place, filer in enumerate(PUBLIC)
                }
            )
        if parts[0] == "submissions":
            return self._submissions(parts[1])
        if parts[:3] == ["api", "xbrl", "companyfacts"]:
            return self._facts(parts[3])
        return _missing("AccessDenied")

    def _blocks(self, request: Request) -> bool:
        if "@" not in request.headers.get("user-agent", ""):
            return True
        if self.limit_per_s is None:
            return False
        # The request itself is among them.
        last = [other for other in self.requests[-50:] if other.at > request.at - 1]
        return len(last) > self.limit_per_s

    def _index(self, year: int, quarter: int, name: str) -> Reply:
        first = date(year, quarter * 3 - 2, 1)
        span = (self.index_until - first).days + 1
        days = [first + timedelta(days=past) for past in range(min(span, 92))]
        days = [day for day in days if (day.month + 2) // 3 == quarter and self.filed(day)]
        if name == "index.json" and days:
            names = [f"{kind}.{day:%Y%m%d}.idx" for day in days for kind in ("form", "master")]
            items = [
                {"last-modified": "", "name": name, "type": "file", "href": name, "size": "92 KB"}
                for name in [*names, "sitemap.xml"]
            ]
            return as_json(
                {"directory": {"item": items, "name": "daily-index/", "parent-dir": "../"}}
            )
        for day in days:
            if name == f"master.{day:%Y%m%d}.idx":
                return _file(index(day, self.filed(day)), "application/octet-stream")
        return _missing("AccessDenied")

    def _notice(self, number: str) -> Reply:
        for filing in self.filed(day_of(number)):
            if filing.accession.replace("-", "") == number:
                return _file(notice(filing), "application/xml")
        return _missing("AccessDenied")

    def _header(self, accession: str) -> Reply:
        for filing in self.filed(day_of(accession)):
            if filing.accession == accession and accession not in self.without_header:
                return _file(header(filing), "text/plain")
        return _missing("AccessDenied")

    @cached_property
    def _days(self) -> Sequence[date]:
        """The days whose filings companies still have in their lists, the newest first."""
        return [self.index_until - timedelta(days=past) for past in range(_KEPT_D)]

    def _by(self, cik: int, days: Sequence[date]) -> Sequence[Filed]:
        filings = [filing for day in days for filing in self.filed(day)]
        return [filing for filing in filings if cik in {filer.cik for filer in filing.filers}]

    def _submissions(self, name: str) -> Reply:
        cik = int(name[3:13])
        filer = next((filer for filer in PUBLIC if filer.cik == cik), None)
        if filer is None:
            return _missing("NoSuchKey", status=404)
        recent, older = self._days[:_RECENT_D], self._days[_RECENT_D:]
        if name.endswith("-submissions-001.json"):
            return as_json(columns(self._by(cik, older)))
        address = {"street1": "1 Main St", "city": filer.city, "stateOrCountry": filer.state}
        return as_json(
            {
                "cik": f"{cik:010d}",
                "name": filer.name,
                "sic": "7372",
                "sicDescription": "Services-Prepackaged Software",
                "tickers": [filer.ticker],
                "exchanges": ["Nasdaq"],
                "stateOfIncorporation": "DE",
                "addresses": {"mailing": {}, "business": address | {"zipCode": filer.zip_code}},
                "phone": "4085550100",
                "filings": {
                    "recent": columns(self._by(cik, recent)),
                    "files": [
                        {
                            "name": f"CIK{cik:010d}-submissions-001.json",
                            "filingCount": len(older),
                            "filingFrom": f"{older[-1]}",
                            "filingTo": f"{older[0]}",
                        }
                    ],
                },
            }
        )

    def _facts(self, name: str) -> Reply:
        cik = int(name[3:13])
        filer = next((filer for filer in PUBLIC if filer.cik == cik), None)
        if filer is None or cik in self.without_facts:
            return _missing("NoSuchKey", status=404)
        reports = [filing for filing in self._by(cik, self._days) if filing.form == "10-Q"]
        return as_json(facts(filer, reports))


def _file(body: bytes, kind: str) -> Reply:
    return Reply(headers={"content-type": kind}, body=body)


def _missing(code: str, *, status: int = 403) -> Reply:
    return Reply(
        status=status, headers={"content-type": "application/xml"}, body=_MISSING % code.encode()
    )
