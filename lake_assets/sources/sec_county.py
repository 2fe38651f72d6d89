"""Which filers with the SEC are of the county.

**What.** An index has no addresses. A company's are in `/submissions/CIK….json`, so those of every
followed company that filed on the day are read: with a ticker symbol, one to two thousand a day,
each once per run.

**Traps.** EDGAR knows addresses, symbols and industries as they are now, not as they were on the
day. A company that was delisted has no symbol: name it in `SEC_COMPANIES`, for a backfill to find
it.

**Unconfirmed:** the ZIP codes and cities of the county (settings).
"""

from collections.abc import Callable, Iterator

import msgspec

from lake_assets.sources.collect import Ask
from lake_assets.sources.config import listed
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.sec import Edgar
from lake_assets.sources.sec_index import Filing, filings
from lake_assets.sources.values import letters, whole

_STATE = "CA"


class Address(msgspec.Struct, rename="camel"):
    """The parts of an address that tell whether it is in the county."""

    city: str | None = None
    state_or_country: str | None = None
    zip_code: str | None = None


class Addresses(msgspec.Struct):
    """The addresses of a company that matter here."""

    business: Address | None = None


class Company(msgspec.Struct, rename="camel"):
    """Who a company is, in `/submissions/CIK….json`; its filings, most of that, are left out."""

    name: str
    addresses: Addresses
    sic: str | None = None
    sic_description: str | None = None
    state_of_incorporation: str | None = None
    tickers: list[str] = []

    @property
    def business(self) -> Address:
        """The business address, empty if there is none."""
        return self.addresses.business or Address()


class _Ticker(msgspec.Struct):
    cik_str: int


def county_filings(
    ask: Ask, wants: Callable[[Filing], bool] = lambda _: True
) -> Iterator[tuple[Filing, Company]]:
    """The day's wanted filings by companies of the county, in the order of the index."""
    found = filings(ask)
    if not found:
        return
    edgar = Edgar(ask)
    named = {whole(cik, "SEC_COMPANIES") for cik in listed(ask.settings["SEC_COMPANIES"])}
    tickers = {} if named else edgar.json("files/company_tickers.json", dict[str, _Ticker]) or {}
    followed = named or {ticker.cik_str for ticker in tickers.values()}
    if not followed:
        raise SourceMismatch("EDGAR's list of companies with a ticker symbol is empty")
    for filing in found:
        if filing.cik in followed and wants(filing):
            company = edgar.data(f"submissions/CIK{filing.cik:010d}.json", Company)
            if company and in_county(ask, company.business):
                yield filing, company


def in_county(ask: Ask, address: Address) -> bool:
    """Whether an address is in the county, by ZIP code or city."""
    zips = listed(ask.settings["SEC_COUNTY_ZIPS"])
    cities = {letters(city) for city in listed(ask.settings["SEC_COUNTY_CITIES"])}
    return address.state_or_country == _STATE and (
        (address.zip_code or "").startswith(zips) or letters(address.city or "") in cities
    )
