"""Santa Clara County's people: who lives there, and what they earn.

Belongs here: public statistics on residents, published once a year.
Does not belong here: statistics on businesses and labor (`external_economy`).
"""

from lake_assets.catalog import Dataset, Schedule, external

_GROUP = "External Data"

_WEEKLY = Schedule(cron="0 9 * * 1")

_REVISED = (
    "The partition is the day on which a row was first seen or was seen to have changed, not the "
    "year that it is about. Most days have no rows. Take the row with the greatest "
    "`collected_at` per key over all days."
)

DATASETS: tuple[Dataset, ...] = (
    external(
        "external/scc/demographics",
        "Census ACS demographics; one row per geography and variable.",
        group=_GROUP,
        upstream="census-acs",
        pool="census",
        collect="lake_assets.sources.census_acs:COLLECTOR",
        tasks="lake.collect_scc_census_demographics",
        watermark="vintage_year",
        schedule=_WEEKLY,
        key="dataset vintage_year geo_level geo_id variable",
        freshness_h=192,
        notes=(
            f"{_REVISED} Key: dataset, vintage_year, geo_level, geo_id, variable. One value per "
            "row: its unit is in `label`. Filter on `geo_level`, since areas contain each other. "
            "Estimates come from a sample: two that differ by less than their margins do not "
            "differ. 5-year vintages overlap: don't subtract consecutive ones. A variable may "
            "change its meaning between vintages: compare by `label`."
        ),
        columns="""
            dataset            string!     The survey product, such as acs/acs5.
            vintage_year       int64!      Last year of the survey period.
            period_start_year  int64!      First year of the survey period.
            period_end_year    int64!      Last year of the survey period.
            geo_level          string!     Kind of area. {county|place|tract|zcta}
            geo_id             string!     Its FIPS code, or the ZIP code tabulation area.
            geo_name           string      Name of the area.
            state_fips         string      State, 2-digit FIPS: 06; null for ZIP code areas.
            county_fips        string      County, 3-digit FIPS; null for places and ZIP code areas.
            variable           string!     Code of the variable, such as B19013_001.
            label              string      Meaning of the variable in this vintage.
            estimate           float64     The estimate; null where not published (see `annotation`).
            margin_of_error    float64     Half of its 90 % interval; null where none applies.
            annotation         string      Why an estimate or margin is null; null when neither is.
            row_hash           string!     SHA-256 of what the row says; changes with every revision.
            collected_at       timestamp!  When the row was read.
        """,
    ),
    external(
        "external/scc/irs_soi",
        "IRS Statistics of Income; one row per geography and income bracket.",
        group=_GROUP,
        upstream="irs-soi-csv",
        pool="irs",
        collect="lake_assets.sources.irs:COLLECTOR",
        tasks="lake.collect_scc_irs_soi",
        watermark="tax_year",
        schedule=_WEEKLY,
        key="tax_year geo_level state_fips county_fips zip_code agi_stub",
        freshness_h=192,
        notes=(
            f"{_REVISED} Key: tax_year, geo_level, state_fips, county_fips, zip_code, agi_stub. "
            "Published two to four years after the tax year, counties before ZIP codes. Amounts "
            "are in 1,000 US dollars. `agi_stub` has other brackets for counties (1 to 8) than for "
            "ZIP codes (1 to 6): use `agi_bracket`. Bracket 0 is the total: don't add it to the "
            "others. They add up to less, since small cells are merged, left out or 0."
        ),
        columns="""
            tax_year                  int64!      The tax year.
            geo_level                 string!     Kind of area. {county|zip}
            state_fips                string!     State, 2-digit FIPS: 06.
            state                     string      State, two letters: CA.
            county_fips               string      County, 3-digit FIPS; null for ZIP codes.
            county_name               string      Name of the county; null for ZIP codes.
            zip_code                  string      ZIP code; null for the county.
            agi_stub                  int64!      Number of the bracket of adjusted gross income; 0 is all.
            agi_bracket               string      The bracket in words, in US dollars.
            num_returns               int64       Tax returns, rounded to 10.
            num_individuals           int64       People on those returns, rounded to 10.
            agi_kusd                  int64       Adjusted gross income, 1,000 US dollars; may be below 0.
            wages_returns             int64       Returns with wages or salaries.
            wages_kusd                int64       Wages and salaries, 1,000 US dollars.
            interest_kusd             int64       Taxable interest, 1,000 US dollars.
            dividends_kusd            int64       Dividends, 1,000 US dollars.
            business_income_kusd      int64       Net business income, 1,000 US dollars.
            capital_gains_kusd        int64       Net capital gains, 1,000 US dollars.
            total_tax_liability_kusd  int64       Total tax liability, 1,000 US dollars.
            raw                       json        The whole line of the file, as an object by column name.
            source_file               string!     Name of the file, such as 22incyallagi.csv.
            source_last_modified      timestamp   When that file was last changed, as the IRS says.
            row_hash                  string!     SHA-256 of what the row says; changes with every revision.
            collected_at              timestamp!  When the row was read.
        """,
    ),
)
