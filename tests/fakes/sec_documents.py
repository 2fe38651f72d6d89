"""The documents that EDGAR has, as they look: indexes, notices, lists of filings, facts."""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Filer:
    """Someone who files; `ticker` is empty for private companies and people."""

    cik: int
    name: str
    city: str
    state: str
    zip_code: str
    ticker: str = ""


@dataclass(frozen=True, kw_only=True)
class Filed:
    """One filing; `filers` are all who stand in the index for it, its folder belongs to the first.

    The number says the day and the place within it, so that a filing is found by its number.
    """

    day: date
    place: int
    form: str
    filers: Sequence[Filer]

    @property
    def accession(self) -> str:
        number = self.day.timetuple().tm_yday * 1_000 + self.place
        return f"{self.filers[0].cik:010d}-{self.day:%y}-{number:06d}"

    @property
    def path(self) -> str:
        return f"edgar/data/{self.filers[0].cik}/{self.accession}.txt"


def day_of(accession: str) -> date:
    """The day of a filing, from its number with or without dashes."""
    digits = accession.replace("-", "")
    return date(2000 + int(digits[10:12]), 1, 1) + timedelta(days=int(digits[12:]) // 1_000 - 1)


def index(day: date, filings: Iterable[Filed]) -> bytes:
    """`master.YYYYMMDD.idx`."""
    head = (
        "Description:           Daily Index of EDGAR Dissemination Feed\n"
        f"Last Data Received:    {calendar.month_abbr[day.month]} {day.day}, {day.year}\n"
        "Comments:              webmaster@sec.gov\n"
        "Anonymous FTP:         ftp://ftp.sec.gov/edgar/\n\n"
        "CIK|Company Name|Form Type|Date Filed|File Name\n" + "-" * 80 + "\n"
    )
    lines = (
        f"{filer.cik}|{filer.name}|{filing.form}|{filing.day:%Y%m%d}|{filing.path}\n"
        for filing in filings
        for filer in filing.filers
    )
    return (head + "".join(lines)).encode("latin-1")


NOTICE = """<?xml version="1.0"?>
<edgarSubmission>
    <schemaVersion>X0708</schemaVersion>
    <submissionType>{form}</submissionType>
    <testOrLive>LIVE</testOrLive>
    <primaryIssuer>{issuer}
        <jurisdictionOfInc>DELAWARE</jurisdictionOfInc>
        <issuerPreviousNameList><value>None</value></issuerPreviousNameList>
        <entityType>Corporation</entityType>
        <yearOfInc><withinFiveYears>true</withinFiveYears><value>2024</value></yearOfInc>
    </primaryIssuer>{others}
    <relatedPersonsList>
        <relatedPersonInfo>
            <relatedPersonName>
                <firstName>Ada</firstName><middleName>None</middleName><lastName>Example</lastName>
            </relatedPersonName>
            <relatedPersonAddress>
                <street1>77 Home Street</street1><city>GILROY</city>
                <stateOrCountry>CA</stateOrCountry><zipCode>95020</zipCode>
            </relatedPersonAddress>
            <relatedPersonRelationshipList>
                <relationship>Executive Officer</relationship><relationship>Director</relationship>
            </relatedPersonRelationshipList>
            <relationshipClarification>Write to ada@home.example</relationshipClarification>
        </relatedPersonInfo>
    </relatedPersonsList>
    <offeringData>
        <industryGroup>
            <industryGroupType>Other Technology</industryGroupType><investmentFundInfo/>
        </industryGroup>
        <issuerSize><revenueRange>Decline to Disclose</revenueRange></issuerSize>
        <federalExemptionsExclusions><item>06b</item><item>3C.1</item></federalExemptionsExclusions>
        <typeOfFiling>
            <newOrAmendment>
                <isAmendment>{amends}</isAmendment>{previous}
            </newOrAmendment>
            <dateOfFirstSale><value>{sold_on}</value></dateOfFirstSale>
        </typeOfFiling>
        <durationOfOffering><moreThanOneYear>false</moreThanOneYear></durationOfOffering>
        <typesOfSecuritiesOffered><isEquityType>true</isEquityType></typesOfSecuritiesOffered>
        <businessCombinationTransaction>
            <isBusinessCombinationTransaction>false</isBusinessCombinationTransaction>
            <clarificationOfResponse></clarificationOfResponse>
        </businessCombinationTransaction>
        <minimumInvestmentAccepted>25000</minimumInvestmentAccepted>
        <salesCompensationList><recipient>
            <recipientName>Broker One</recipientName><recipientCRDNumber>None</recipientCRDNumber>
            <recipientAddress>
                <street1>9 Broker Road</street1><city>New York</city>
            </recipientAddress>
        </recipient></salesCompensationList>
        <offeringSalesAmounts>
            <totalOfferingAmount>5000000</totalOfferingAmount>
            <totalAmountSold>3200000</totalAmountSold>
            <totalRemaining>1800000</totalRemaining>
        </offeringSalesAmounts>
        <investors>
            <hasNonAccreditedInvestors>false</hasNonAccreditedInvestors>
            <totalNumberAlreadyInvested>14</totalNumberAlreadyInvested>
        </investors>
        <salesCommissionsFindersFees>
            <salesCommissions><dollarAmount>1000</dollarAmount></salesCommissions>
            <findersFees><dollarAmount>0</dollarAmount></findersFees>
        </salesCommissionsFindersFees>
        <useOfProceeds>
            <grossProceedsUsed>
                <dollarAmount>250000</dollarAmount><isEstimate>true</isEstimate>
            </grossProceedsUsed>
        </useOfProceeds>
        <signatureBlock>
            <signature><signatureName>/s/ Ada</signatureName></signature>
        </signatureBlock>
    </offeringData>
</edgarSubmission>
"""

_PREVIOUS = """
                <previousAccessionNumber>{:010d}-26-000001</previousAccessionNumber>"""

_ISSUER = """
        <cik>{0.cik:010d}</cik>
        <entityName>{name}</entityName>
        <issuerAddress>
            <street1>1 Main St</street1><city>{0.city}</city>
            <stateOrCountry>{0.state}</stateOrCountry><zipCode>{0.zip_code}</zipCode>
        </issuerAddress>
        <issuerPhoneNumber>408-555-0100</issuerPhoneNumber>"""


def notice(filing: Filed) -> bytes:
    """`primary_doc.xml` of a Form D."""
    first, *more = filing.filers
    others = "".join(f"<issuer>{_issuer(filer)}</issuer>" for filer in more)
    return NOTICE.format(
        form=filing.form,
        issuer=_issuer(first),
        others=f"<issuerList>{others}</issuerList>" if others else "",
        previous=_PREVIOUS.format(first.cik) if filing.form == "D/A" else "",
        amends=str(filing.form == "D/A").lower(),
        sold_on=filing.day - timedelta(days=14),
    ).encode()


def _issuer(filer: Filer) -> str:
    return _ISSUER.format(filer, name=escape(filer.name))


def header(filing: Filed) -> bytes:
    """`….hdr.sgml`, in New York time."""
    return (
        f"<SEC-HEADER>{filing.accession}.hdr.sgml : {filing.day:%Y%m%d}\n"
        f"<ACCEPTANCE-DATETIME>{filing.day:%Y%m%d}163105\n"
        f"<ACCESSION-NUMBER>{filing.accession}\n<TYPE>{filing.form}\n</SEC-HEADER>\n"
    ).encode()


def listed_acceptance(filing: Filed) -> str:
    """What the list says: for the first filers New York time with a `Z`, for others UTC."""
    local = datetime.combine(filing.day, time(16, 31, 5), ZoneInfo("America/New_York"))
    moment = local if filing.filers[0].cik % 2 else local.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def columns(filings: Sequence[Filed]) -> dict[str, list[Any]]:
    """Filings as `/submissions` has them; only reports have XBRL data and a period."""
    reports = [filing.form in {"10-Q", "8-K"} for filing in filings]
    return {
        "accessionNumber": [filing.accession for filing in filings],
        "filingDate": [f"{filing.day}" for filing in filings],
        "reportDate": [
            f"{filing.day - timedelta(days=1)}" if report else ""
            for filing, report in zip(filings, reports, strict=True)
        ],
        "acceptanceDateTime": [listed_acceptance(filing) for filing in filings],
        "act": ["34"] * len(filings),
        "form": [filing.form for filing in filings],
        "fileNumber": ["001-00001"] * len(filings),
        "items": ["2.02,9.01" if filing.form == "8-K" else "" for filing in filings],
        "size": [400_000 + filing.place for filing in filings],
        "isXBRL": [int(report) for report in reports],
        "isInlineXBRL": [int(report) for report in reports],
        "primaryDocument": [f"doc{filing.place}.htm" for filing in filings],
        "primaryDocDescription": [
            filing.form if report else "" for filing, report in zip(filings, reports, strict=True)
        ],
    }


def facts(filer: Filer, reports: Iterable[Filed]) -> dict[str, Any]:
    """`companyfacts`: per report a level, two flows, a repeated older level and a count."""
    assets: list[Any] = []
    revenues: list[Any] = []
    shares: list[Any] = []
    for filing in reports:
        about = {
            "accn": filing.accession,
            "fy": filing.day.year,
            "fp": "Q3",
            "form": filing.form,
            "filed": f"{filing.day}",
        }
        end, year = f"{filing.day - timedelta(days=30)}", filing.day.year
        value = filing.day.toordinal()
        assets.append({"end": f"{year - 1}-12-31", "val": 1_000_000} | about)
        assets.append({"end": end, "val": value, "frame": f"CY{year}Q3I"} | about)
        revenues.append({"start": f"{year}-01-01", "end": end, "val": value * 2.5} | about)
        revenues.append({"start": f"{year}-07-01", "end": end, "val": f"{value}"} | about)
        shares.append({"end": end, "val": 12_345_678_901_234_567} | about)
    return {
        "cik": filer.cik,
        "entityName": filer.name,
        "facts": {
            "dei": {
                "EntityCommonStockSharesOutstanding": {
                    "label": None,
                    "description": None,
                    "units": {"shares": shares},
                }
            },
            "us-gaap": {
                "Assets": {"label": "Assets", "description": "All.", "units": {"USD": assets}},
                "Revenues": {"label": "Revenues", "description": "In.", "units": {"USD": revenues}},
            },
        },
    }
