"""Filings with the SEC by public companies of the county, from the index of each day.

**What.** Every line of the day's index whose filer is such a company (`sec_county`), with what
EDGAR says of the filing and of the company in `/submissions/CIK….json`.

**Pages.** See `sec_submissions`.

**A day**, and when it is published: see `sec_index`.

**A revision** is a filing of its own, of a form with `/A`. A day that is written again may have
another address, name of an industry or ticker: EDGAR has the present ones only. Filings of a
company that moved away or was delisted since stay.

**Traps.** A filing by several companies is a row for each. The index decides which rows there are:
what EDGAR says of a filing may follow later, and is null until then.

**Unconfirmed:** see `sec_index`, `sec_county` and `sec_submissions`.
"""

from collections.abc import Iterator

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.sec_county import Company, county_filings
from lake_assets.sources.sec_index import Filing
from lake_assets.sources.sec_submissions import described


def collect(ask: Ask) -> Iterator[Row]:
    """One row per filing and company of the county."""
    for filing, company in county_filings(ask):
        yield {**_said_by_index(filing), **_said_of(company), **described(ask, filing)}


def _said_by_index(filing: Filing) -> Row:
    return {
        "accession_number": filing.accession,
        "cik": filing.cik,
        "company_name": filing.company,
        "form_type": filing.form,
        "filing_date": filing.filed,
        "file_path": filing.path,
        "filing_url": filing.url,
    }


def _said_of(company: Company) -> Row:
    return {
        "sic": company.sic or None,
        "sic_description": company.sic_description or None,
        "state_of_incorporation": company.state_of_incorporation or None,
        "business_city": company.business.city,
        "business_state": company.business.state_or_country,
        "business_zip": company.business.zip_code,
        "tickers": msgspec.json.encode(company.tickers).decode(),
    }


COLLECTOR = Collector(upstream=config.SEC, collect=collect, fades=True)
