"""Filings with the SEC by companies of Santa Clara County, and the figures in them.

Belongs here: what is read from SEC EDGAR. One pool for all of it: the SEC limits the rate over all
of its hosts together.
Does not belong here: federal money (`external_economy`).
"""

from datetime import date

from lake_assets.catalog import Dataset, Schedule, external

_GROUP = "External Data"
_POOL = "sec"

_FRESH_H = 96
"""Saturday's run and Tuesday's are 72 hours apart; the rest is room for one retry day."""

_OLDEST_LAG_D = 5
"""Tuesday's run reaches back to Thursday: an index or a document that comes days late is found."""

_DAYS = (
    "The partition is the filing day in New York. Weekends and federal holidays have no rows; the "
    "index of a day appears late in its evening."
)

DATASETS: tuple[Dataset, ...] = (
    external(
        "external/scc/sec_form_d",
        "SEC Form D notices of private offerings by county issuers; one row per filing.",
        group=_GROUP,
        upstream="sec-daily-index+primary_doc.xml",
        pool=_POOL,
        collect="lake_assets.sources.sec_form_d:COLLECTOR",
        tasks="lake.collect_sec_form_d lake.collect_sec_form_d_backfill",
        watermark="filing_date",
        schedule=Schedule(cron="0 10 * * 2-6", newest_lag_d=1, oldest_lag_d=_OLDEST_LAG_D),
        key="accession_number",
        first_day=date(2009, 4, 1),
        freshness_h=_FRESH_H,
        notes=(
            f"{_DAYS} An amendment (D/A) restates the offering: don't add its amounts to those of "
            "the notice before it. `total_amount_sold` is what was sold so far, and says nothing "
            "about later sales. Amounts are in US dollars and as the issuer states them. Related "
            "persons are public record, and personal data all the same."
        ),
        columns="""
            accession_number         string!     SEC's number of the filing, such as 0001234567-26-000123.
            cik                      int64!      SEC's number of the issuer.
            form_type                string!     New notice or amendment. {D|D/A}
            filing_date              date!       Day of the filing in New York; the partition's day.
            entity_name              string!     Name of the issuer.
            entity_type              string      Legal form, such as Corporation.
            jurisdiction             string      Where it was founded, such as DELAWARE.
            year_of_inc              string      Year of founding, or in words where the form has no year.
            street1                  string      Street of the issuer.
            street2                  string      Second line of the street; null without one.
            city                     string      City of the issuer, as written on the form.
            state                    string      State or country code of the issuer, such as CA.
            zip_code                 string      ZIP code of the issuer, as written on the form.
            phone                    string      Phone number of the issuer.
            is_scc                   bool!       Whether the issuer is in the county, by ZIP code or city.
            industry_group           string      Industry, as ticked on the form.
            investment_fund_type     string      Kind of fund; null unless a pooled investment fund.
            revenue_range            string      Range of revenue, often Decline to Disclose.
            federal_exemptions       json        Array of the exemptions claimed, such as 06b.
            is_amendment             bool!       Whether it restates an earlier notice: so it says, or is a D/A.
            previous_accession_number string     SEC's number of the notice that it amends; null without one.
            date_of_first_sale       date        Day of the first sale; null when there was none yet.
            first_sale_yet_to_occur  bool        Whether the first sale is yet to come.
            more_than_one_year       bool        Whether the offering is to last over a year.
            is_equity                bool!       Whether equity is offered.
            is_debt                  bool!       Whether debt is offered.
            is_pooled_fund           bool!       Whether interests in a pooled fund are offered.
            is_business_combination  bool        Whether it is part of a merger or the like.
            minimum_investment       decimal     Least that an outside investor must invest, US dollars.
            total_offering_amount    decimal     Amount offered, US dollars; null when indefinite.
            offering_indefinite      bool!       Whether the amount offered is `Indefinite`.
            total_amount_sold        decimal     Sold so far, US dollars.
            total_remaining          decimal     Yet to be sold, US dollars; null when indefinite.
            has_non_accredited       bool        Whether non-accredited investors take part.
            investors_count          int64       Investors so far.
            sales_commissions        decimal     Sales commissions, US dollars; may be an estimate.
            finders_fees             decimal     Finders' fees, US dollars; may be an estimate.
            gross_proceeds_used      decimal     Proceeds that go to related persons, US dollars.
            related_persons          json        Array of objects: name and relationships.
            filing_url               string      Address of the filing.
            collected_at             timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/sec_filings",
        "SEC filings of public companies in the county; one row per filing and filer.",
        group=_GROUP,
        upstream="sec-daily-index+submissions",
        pool=_POOL,
        collect="lake_assets.sources.sec_filings:COLLECTOR",
        tasks="lake.collect_sec_public_filings lake.collect_sec_public_filings_backfill",
        watermark="filing_date",
        schedule=Schedule(cron="0 10 * * 2-6", newest_lag_d=1, oldest_lag_d=_OLDEST_LAG_D),
        key="accession_number cik",
        first_day=date(2001, 1, 1),
        freshness_h=_FRESH_H,
        notes=(
            f"{_DAYS} A filing by several companies has a row for each: count distinct "
            "`accession_number`. The company's address, industry and tickers are those of the day "
            "it was read, not of the filing: in a backfill of old years a company that moved "
            "counts where it is now. `accepted_at` may be on the day before `filing_date`: don't "
            "window on it. The SEC's list gives it in New York time for some filers and calls that "
            "UTC: where it differs from the header of the filing, the header counts. "
            "`accepted_at_source` tells of it; without a header the zone is in doubt."
        ),
        columns="""
            accession_number         string!     SEC's number of the filing, such as 0001234567-26-000123.
            cik                      int64!      SEC's number of the filer.
            company_name             string!     Name of the filer.
            form_type                string!     The form, such as 10-K, 8-K or 4; /A marks an amendment.
            filing_date              date!       Day of the filing in New York; the partition's day.
            report_date              date        Day or end of the period reported on; may be null.
            accepted_at              timestamp   When the SEC accepted it.
            accepted_at_source       string      Where `accepted_at` is from; both where they agree. {both|header|submissions}
            items                    string      Items of an 8-K, with commas between; null for other forms.
            primary_document         string      File name of the main document.
            primary_doc_description  string      What the filer calls that document.
            size_bytes               int64       Size of the whole filing in bytes.
            is_xbrl                  bool        Whether it has XBRL data.
            is_inline_xbrl           bool        Whether that data is inside the main document.
            sic                      string      Industry of the filer, 4-digit SIC.
            sic_description          string      Name of that industry.
            state_of_incorporation   string      State of incorporation, such as DE.
            business_city            string      City of the filer's business address.
            business_state           string      State of that address: CA.
            business_zip             string      ZIP code of that address.
            tickers                  json        Array of the filer's ticker symbols; empty when unlisted.
            file_path                string      Path of the filing in EDGAR's archive.
            filing_url               string      Address of the filing.
            collected_at             timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/sec_xbrl",
        "SEC XBRL financial data of county companies; one row per fact newly filed that day.",
        group=_GROUP,
        upstream="sec-companyfacts",
        pool=_POOL,
        collect="lake_assets.sources.sec_xbrl:COLLECTOR",
        tasks="lake.collect_sec_xbrl_financials",
        watermark="filed_date",
        schedule=Schedule(cron="0 11 * * 2-6", newest_lag_d=1, oldest_lag_d=_OLDEST_LAG_D),
        key="cik taxonomy concept unit period_start period_end accession_number",
        first_day=date(2009, 6, 1),
        freshness_h=_FRESH_H,
        notes=(
            f"{_DAYS} Read after `external/scc/sec_filings` of the day, for the companies that "
            "filed a report. A later filing repeats older facts for comparison and may restate "
            "them: take the greatest `filed_date` per cik, taxonomy, concept, unit, period_start "
            "and period_end. `fiscal_year` and `fiscal_period` are those of the filing, not of the "
            "fact: use the period. Quarters and years of one concept stand side by side: look at "
            "the length of the period before adding."
        ),
        columns="""
            cik               int64!      SEC's number of the company.
            entity_name       string      Name of the company.
            taxonomy          string!     Where the concept is defined, such as us-gaap or dei.
            concept           string!     Name of the concept, such as Assets or Revenues.
            label             string      The concept in words; null where the taxonomy has none.
            unit              string!     Unit of `value`, such as USD, shares or USD/shares.
            value             float64     The value in `unit`; whole units, not thousands; 15 to 17 digits.
            value_exact       string      The value with all digits, as filed; cast it to decimal(38, 0).
            period_start      date        First day of the period; null for an instant.
            period_end        date!       Last day of the period, or the instant.
            is_instant        bool!       Whether it is a level at one day, not a flow over a period.
            fiscal_year       int64       Fiscal year of the filing.
            fiscal_period     string      Fiscal period of the filing: Q1, Q2, Q3 or FY.
            form_type         string      Form of the filing, such as 10-Q.
            filed_date        date!       Day of the filing; the partition's day.
            accession_number  string!     SEC's number of the filing.
            frame             string      SEC's calendar frame, such as CY2026Q3I; null where none is given.
            collected_at      timestamp!  When the row was read.
        """,
    ),
)
