"""Form D, the SEC's notice of a private offering: who raises how much, from how many.

**What.** The notices (D) and amendments (D/A) of a day with an issuer in the county. The index has
no addresses, so each notice of the country is read: 150 to 300 a day, two hours for a year.

**Pages.** None; one XML document per notice. **A day**, and when it is published: see `sec_index`.

**A revision** is a notice of its own (D/A). A notice never changes, and so no row of a past day.

**Traps.** A D/A is an amendment also without the flag. What does not apply is missing, not false or
empty. An amount may be `Indefinite`, a part of a name `None`. Related persons come with addresses:
only names and relationships are kept. Of several issuers, each is in the index.

**Unconfirmed:** `issuerList` for further issuers, and that a notice without its document stays one.
"""

from collections.abc import Iterator
from decimal import Decimal

from lake_assets.sources import config
from lake_assets.sources.answers import XML
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.sec import Edgar
from lake_assets.sources.sec_county import in_county
from lake_assets.sources.sec_index import Filing, filings
from lake_assets.sources.sec_notice import INDEFINITE, Notice, as_text, dollars
from lake_assets.sources.values import day, whole

_LARGEST = 10**12 - 1
_FORMS = {"D", "D/A"}
_ISSUER = "primaryIssuer"
_ADDRESS = f"{_ISSUER}/issuerAddress"

_TEXTS = {
    "entity_type": f"{_ISSUER}/entityType",
    "jurisdiction": f"{_ISSUER}/jurisdictionOfInc",
    "street1": f"{_ADDRESS}/street1",
    "street2": f"{_ADDRESS}/street2",
    "city": f"{_ADDRESS}/city",
    "state": f"{_ADDRESS}/stateOrCountry",
    "zip_code": f"{_ADDRESS}/zipCode",
    "phone": f"{_ISSUER}/issuerPhoneNumber",
    "industry_group": ".//industryGroupType",
    "investment_fund_type": ".//investmentFundType",
    "revenue_range": ".//revenueRange",
    "previous_accession_number": ".//previousAccessionNumber",
}
_FLAGS = {
    "first_sale_yet_to_occur": ".//dateOfFirstSale/yetToOccur",
    "more_than_one_year": ".//moreThanOneYear",
    "is_business_combination": ".//isBusinessCombinationTransaction",
    "has_non_accredited": ".//hasNonAccreditedInvestors",
}
_MARKS = {
    "is_equity": ".//isEquityType",
    "is_debt": ".//isDebtType",
    "is_pooled_fund": ".//isPooledInvestmentFundType",
}
_AMOUNTS = {
    "minimum_investment": ".//minimumInvestmentAccepted",
    "total_offering_amount": ".//totalOfferingAmount",
    "total_amount_sold": ".//totalAmountSold",
    "total_remaining": ".//totalRemaining",
    "sales_commissions": ".//salesCommissions/dollarAmount",
    "finders_fees": ".//findersFees/dollarAmount",
    "gross_proceeds_used": ".//grossProceedsUsed/dollarAmount",
}


def collect(ask: Ask) -> Iterator[Row]:
    """Every notice of the day by an issuer of the county."""
    notices = {filing.accession: filing for filing in filings(ask) if filing.form in _FORMS}
    missing: list[str] = []
    for filing in notices.values():
        path = f"Archives/{filing.folder}/primary_doc.xml"
        notice = Edgar(ask).file(path, kinds=XML, parse=Notice)
        if notice is None:
            missing.append(filing.accession)
        elif any(in_county(ask, address) for address in notice.addresses):
            yield _row(ask, filing, notice)
    if missing and len(missing) == len(notices):
        raise SourceMismatch(f"{ask.day}: none of {len(notices)} notices has a primary_doc.xml")
    if missing:
        ask.warn(f"{ask.day}: notices without a document were left out: {', '.join(missing)}")


def _row(ask: Ask, filing: Filing, notice: Notice) -> Row:
    offered = notice.text(_AMOUNTS["total_offering_amount"]) or ""
    return {
        "accession_number": filing.accession,
        "cik": notice.value(f"{_ISSUER}/cik", whole),
        "form_type": filing.form,
        "is_amendment": filing.form == "D/A" or bool(notice.flag(".//isAmendment")),
        "filing_date": filing.filed,
        "entity_name": notice.needed(f"{_ISSUER}/entityName"),
        "year_of_inc": notice.founded(),
        "is_scc": in_county(ask, notice.addresses[0]),
        "federal_exemptions": as_text(notice.texts(".//federalExemptionsExclusions/item")),
        "date_of_first_sale": notice.value(".//dateOfFirstSale/value", day),
        "offering_indefinite": offered.lower() == INDEFINITE,
        "investors_count": notice.value(".//totalNumberAlreadyInvested", whole),
        "related_persons": as_text(notice.persons()),
        "filing_url": filing.url,
        **{name: notice.text(path) for name, path in _TEXTS.items()},
        **{name: notice.flag(path) for name, path in _FLAGS.items()},
        **{name: bool(notice.flag(path)) for name, path in _MARKS.items()},
        **{name: _amount(ask, filing, notice, name) for name in _AMOUNTS},
    }


def _amount(ask: Ask, filing: Filing, notice: Notice, column: str) -> Decimal | str | None:
    found = notice.value(_AMOUNTS[column], dollars)
    if isinstance(found, Decimal) and abs(found) > _LARGEST:
        ask.warn(f"{filing.accession}: {column} of {found} does not fit and was left out")
        return None
    return found


COLLECTOR = Collector(upstream=config.SEC, collect=collect)
