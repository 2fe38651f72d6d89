"""Santa Clara County's economy: labor, prices, businesses, sales and federal money.

Belongs here: public statistics on the county that are published by period and revised later.
Does not belong here: statistics on its people (`external_population`), filings of its companies
(`external_sec`).
"""

from datetime import date

from lake_assets.catalog import Dataset, Schedule, external

_GROUP = "External Data"

_WEEKLY = Schedule(cron="0 9 * * 1")

_REVISED = (
    "The partition is the day on which a row was first seen or was seen to have changed, not the "
    "period that it is about. Most days have no rows. Take the row with the greatest "
    "`collected_at` per key over all days; adding up all days counts revised rows twice."
)

DATASETS: tuple[Dataset, ...] = (
    external(
        "external/scc/edd_labor",
        "CA EDD labor market: unemployment of the county, jobs by industry of the metro area.",
        group=_GROUP,
        upstream="data.ca.gov-ckan",
        pool="data-ca-gov",
        collect="lake_assets.sources.edd:COLLECTOR",
        tasks="lake.collect_scc_edd_labor",
        watermark="period_date",
        schedule=Schedule(cron="0 20 * * *"),
        key="program area_name period_date seasonally_adjusted series_code industry_title",
        notes=(
            f"{_REVISED} Key: program, area_name, period_date, seasonally_adjusted, series_code, "
            "industry_title. Two programs in one table: LAUS has people by residence in the "
            "county, CES has jobs by workplace in the San Jose metro area (Santa Clara and San "
            "Benito counties): don't compare their counts. Filter on `seasonally_adjusted`. "
            "Industries contain each other, as Total Nonfarm contains all: don't add them."
        ),
        columns="""
            program                 string!     Whose statistics: people (LAUS) or jobs (CES). {LAUS|CES}
            resource_id             string!     Id of the file at data.ca.gov.
            area_type               string      Kind of area, such as County; null where the file has none.
            area_name               string!     The county, or the metro area.
            period_date             date!       First day of the month that the figures are about.
            year                    int64!      Year of the month.
            month                   int64!      The month, 1 to 12.
            seasonally_adjusted     bool!       Whether the season is taken out.
            status                  string      Preliminary or Final; null in CES.
            series_code             string      CES only: code of the industry, 8 digits with leading zeros.
            industry_title          string      CES only: name of the industry.
            labor_force             int64       LAUS only: residents who work or look for work.
            employment              int64       LAUS only: residents who work.
            unemployment            int64       LAUS only: residents who look for work.
            unemployment_rate       float64     LAUS only: unemployed share of the labor force, percent.
            industry_employment     int64       CES only: jobs in the industry.
            resource_last_modified  timestamp   When the file was last changed at data.ca.gov.
            row_hash                string!     SHA-256 of what the row says; changes with every revision.
            collected_at            timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/fred_indicators",
        "FRED economic indicators; one row per series, observation and vintage.",
        group=_GROUP,
        upstream="fred",
        pool="fred",
        collect="lake_assets.sources.fred:COLLECTOR",
        tasks="lake.collect_scc_fred_indicators",
        watermark="observation_date",
        schedule=Schedule(cron="30 14 * * *"),
        key="series_id observation_date realtime_start",
        notes=(
            f"{_REVISED} Key: series_id, observation_date. Here the greatest `realtime_start` per key "
            "decides first, because one reading brings several vintages, and a backfill old ones. "
            "For what was known on a day, take the greatest `realtime_start` up to that day. Units "
            "and frequency differ by series: read `units` before comparing. Some series are about "
            "the county, some about the metro area or the nation."
        ),
        columns="""
            series_id            string!     FRED's id of the series, such as CASANT5URN.
            title                string      Name of the series.
            frequency            string      How often it is published, such as Monthly.
            units                string      Unit of `value`, such as Percent.
            seasonal_adjustment  string      Whether and how the season is taken out.
            observation_date     date!       First day of the period that the value is about.
            value                float64     The value in `units`; null where FRED has none.
            realtime_start       date!       First day on which this value was the published one.
            realtime_end         date        Last day on which it was, as far as known when it was read.
            series_last_updated  timestamp   When FRED last updated the series.
            row_hash             string!     SHA-256 of what the row says; changes with every revision.
            collected_at         timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/federal_awards",
        "Federal awards performed in the county (USAspending); one row per award version.",
        group=_GROUP,
        upstream="usaspending",
        pool="usaspending",
        collect="lake_assets.sources.usaspending:COLLECTOR",
        tasks="lake.collect_scc_federal_awards",
        watermark="last_modified",
        schedule=Schedule(cron="0 12 * * *", newest_lag_d=1, oldest_lag_d=7),
        key="generated_internal_id",
        first_day=date(2007, 10, 1),
        notes=(
            "The partition is the day on which USAspending last modified the award. An award "
            "appears again with every modification: take the row with the greatest "
            "`last_modified` per `generated_internal_id`, and among equals the greatest "
            "`collected_at`. Amounts are totals over the life of the award so far, not money of "
            "the day: never add versions. The place is where the work is done, not where the "
            "recipient sits. Loans have `loan_value` instead of `award_amount`."
        ),
        columns="""
            generated_internal_id  string!     USAspending's stable id of the award.
            internal_id            int64       USAspending's number of the award; may change.
            award_id               string      Number given by the agency: PIID, FAIN or URI.
            award_group            string!     Kind. {contracts|idvs|grants|direct_payments|loans|other}
            award_type             string      Type within the kind, such as DELIVERY ORDER.
            recipient_name         string      Who receives the money.
            recipient_uei          string      Unique Entity ID of the recipient; null for persons.
            recipient_id           string      USAspending's id of the recipient's profile.
            award_amount           decimal     Obligated so far, US dollars; null for loans.
            total_outlays          decimal     Paid out so far, US dollars; null where not reported.
            loan_value             decimal     Loans only: face value, US dollars.
            subsidy_cost           decimal     Loans only: expected cost to the government, US dollars.
            awarding_agency        string      Agency that made the award.
            awarding_sub_agency    string      Part of that agency.
            funding_agency         string      Agency that pays.
            funding_sub_agency     string      Part of that agency.
            start_date             date        Start of performance; for loans the day of issue.
            end_date               date        End of performance; for vehicles the last day to order.
            base_obligation_date   date        Day of the first obligation.
            last_modified          timestamp!  When USAspending last modified it; day only means midnight.
            description            string      What it is for, as the agency says; e-mail addresses are masked.
            naics_code             string      Industry, NAICS; contracts only.
            naics_description      string      Name of that industry.
            psc_code               string      Product or service code; contracts only.
            psc_description        string      Name of that product or service.
            cfda_number            string      Assistance listing, such as 47.070; assistance only.
            pop_state_code         string      State of performance: CA.
            pop_county_code        string      County of performance, 3-digit FIPS: 085.
            pop_county_name        string      Name of that county.
            pop_city               string      City of performance; null where not reported.
            pop_zip5               string      ZIP code of performance; null where not reported.
            collected_at           timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/census_business",
        "Census business patterns; one row per county or ZIP, industry and size class.",
        group=_GROUP,
        upstream="census-cbp",
        pool="census",
        collect="lake_assets.sources.census_cbp:COLLECTOR",
        tasks="lake.collect_scc_census_business",
        watermark="reference_year",
        schedule=_WEEKLY,
        key="reference_year geo_level geo_id naics_version naics_code empszes lfo",
        freshness_h=192,
        notes=(
            f"{_REVISED} Key: reference_year, geo_level, geo_id, naics_version, naics_code, "
            "empszes, lfo. Totals stand beside their parts: naics_code 00 is all industries, "
            "empszes 001 all sizes, lfo 001 all legal forms, and 2-digit industries contain the "
            "longer codes: filter on one level of each before adding. Since 2017 cells with fewer "
            "than 3 establishments are left out, not 0. Size classes, and industries of ZIP codes, "
            "have establishments only; ZIP codes are in all sizes together."
        ),
        columns="""
            reference_year        int64!      Year that the figures are about.
            geo_level             string!     Kind of area. {county|zip}
            geo_id                string!     County FIPS 06085, or the ZIP code.
            geo_name              string      Name of the area.
            state_fips            string      State, 2-digit FIPS: 06.
            county_fips           string      County, 3-digit FIPS; null for ZIP codes.
            zip_code              string      ZIP code; null for the county.
            naics_version         string!     Version of the industry codes, such as 2017.
            naics_code            string!     Industry; 00 is all, ranges such as 31-33 are one sector.
            naics_label           string      Name of the industry.
            empszes               string!     Size class by employees; 001 is all.
            empszes_label         string      Name of the size class.
            lfo                   string!     Legal form of organisation; 001 is all.
            establishments        int64       Places of business.
            employees             int64       Employees in the pay period of 12 March; null where not published.
            employees_noise_flag  string      Noise in it: G low, H medium, J high; D or S withheld.
            payroll_annual_kusd   int64       Payroll of the year, 1,000 US dollars; null where not published.
            payroll_q1_kusd       int64       Payroll of the first quarter, 1,000 US dollars.
            payroll_noise_flag    string      Noise in the payroll, with the same letters.
            row_hash              string!     SHA-256 of what the row says; changes with every revision.
            collected_at          timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/cdtfa_taxable_sales",
        "CDTFA taxable sales; one row per county or city, quarter and business group.",
        group=_GROUP,
        upstream="cdtfa-odata",
        pool="cdtfa",
        collect="lake_assets.sources.cdtfa:SALES",
        tasks="lake.collect_scc_cdtfa_taxable_sales",
        watermark="period_end",
        schedule=_WEEKLY,
        key="calendar_year quarter geo_level county city business_group_code",
        freshness_h=192,
        notes=(
            f"{_REVISED} Key: calendar_year, quarter, geo_level, county, city, "
            "business_group_code. Cities are part of the county: filter on `geo_level`. Business "
            "groups contain each other: CTR is the total of C01 to C09 (retail and food), TTL of "
            "CTR and OTH (all). Cities may include a row of the whole county or of its parts "
            "outside of cities. Quarters from 2015 on."
        ),
        columns="""
            calendar_year             int64!      Year of the quarter.
            quarter                   int64!      The quarter, 1 to 4.
            period_start              date!       First day of the quarter.
            period_end                date!       Last day of the quarter.
            geo_level                 string!     Kind of area. {county|city}
            county                    string!     Name of the county, upper case: SANTA CLARA.
            county_code               int64       CDTFA's own number of the county; not its FIPS code.
            county_fips               string!     County, 3-digit FIPS: 085.
            city                      string      Name of the city, upper case; null for the county.
            business_group_code       string!     Business group: C01 to C09, OTH, or a total (CTR, TTL).
            business_type             string      Name of the business group.
            taxable_transactions_usd  int64       Taxable sales in whole US dollars; null if withheld.
            disclosure_flag           string      Withheld (c) or adjusted (d) for confidentiality, or null.
            row_hash                  string!     SHA-256 of what the row says; changes with every revision.
            collected_at              timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/cdtfa_permits",
        "CDTFA seller permits; one row per county or city, quarter and business group.",
        group=_GROUP,
        upstream="cdtfa-odata",
        pool="cdtfa",
        collect="lake_assets.sources.cdtfa:PERMITS",
        tasks="lake.collect_scc_cdtfa_permits",
        watermark="permit_date",
        schedule=_WEEKLY,
        key="calendar_year quarter geo_level county city business_group_code",
        freshness_h=192,
        notes=(
            f"{_REVISED} Key: calendar_year, quarter, geo_level, county, city, "
            "business_group_code. Read from the tables of taxable sales: counties count permits, "
            "cities count outlets, so don't compare them (`count_basis`). Business groups contain "
            "each other: CTR is the total of C01 to C09 (retail and food), TTL of CTR and OTH (all)."
        ),
        columns="""
            calendar_year        int64!      Year of the quarter.
            quarter              int64!      The quarter, 1 to 4.
            permit_date          date!       Day of the count; else the quarter's last day.
            geo_level            string!     Kind of area. {county|city}
            county               string!     Name of the county, upper case: SANTA CLARA.
            county_code          int64       CDTFA's own number of the county; not its FIPS code.
            county_fips          string!     County, 3-digit FIPS: 085.
            city                 string      Name of the city, upper case; null for the county.
            business_group_code  string!     Business group: C01 to C09, OTH, or a total (CTR, TTL).
            business_type        string      Name of the business group.
            permits_count        int64       Permits or outlets, by `count_basis`; null if withheld.
            count_basis          string!     What is counted. {permits|outlets}
            disclosure_flag      string      Withheld (c) or adjusted (d) for confidentiality, or null.
            row_hash             string!     SHA-256 of what the row says; changes with every revision.
            collected_at         timestamp!  When the row was read.
        """,
    ),
)
