"""Settings of offices that publish figures: where they are, and what of theirs is wanted."""

from lake_assets.sources.config.model import SourceSetting, Upstream, base_url, pace

EDD = Upstream(
    name="edd",
    title="California EDD (data.ca.gov)",
    feeds=("data.ca.gov-ckan",),
    settings=(
        base_url("EDD_BASE_URL", "https://data.ca.gov"),
        pace("EDD_REQUESTS_PER_S", "2"),
        SourceSetting(
            name="EDD_LAUS_RESOURCES",
            default="b4bc4656-7866-420f-8d87-4eda4c9996ed",
            sentence="Ids of the files with unemployment by county.",
        ),
        SourceSetting(
            name="EDD_CES_RESOURCES",
            default="98b69522-557e-464a-a2be-4226df433da1,6b23e85b-78ad-4c7d-945d-1fc19b52dcba",
            sentence="Ids of the files with jobs by industry; a new one appears about every year.",
        ),
        SourceSetting(
            name="EDD_COUNTY",
            default="Santa Clara County",
            sentence="The county of the unemployment figures.",
        ),
        SourceSetting(
            name="EDD_METRO_AREA",
            default="San Jose-Sunnyvale-Santa Clara MSA",
            sentence="The metro area of the jobs by industry.",
        ),
    ),
)

FRED = Upstream(
    name="fred",
    title="FRED (St. Louis Fed)",
    settings=(
        SourceSetting(
            name="FRED_API_KEY",
            sentence="API key, free at fredaccount.stlouisfed.org.",
            required=True,
            secret=True,
        ),
        base_url("FRED_BASE_URL", "https://api.stlouisfed.org"),
        pace("FRED_REQUESTS_PER_S", "1.5"),
        SourceSetting(
            name="FRED_SERIES",
            default=(
                "CASANT5URN,ATNHPIUS06085A,CASANT5LFN,CASANT5POP,MHICA06085A052NCEN,GDPALL06085,"
                "HOWNRATEACS006085,SANJ906URN,SANJ906NA,UNRATE,CPIAUCSL,FEDFUNDS,MORTGAGE30US"
            ),
            sentence="Ids of the series; an id that FRED does not know is left out with a warning.",
        ),
        SourceSetting(
            name="FRED_WINDOW_MONTHS",
            default="24",
            sentence="How far back a run looks for new and revised observations.",
        ),
    ),
)

SEC = Upstream(
    name="sec",
    title="SEC EDGAR",
    feeds=(
        "sec-companyfacts",
        "sec-daily-index+primary_doc.xml",
        "sec-daily-index+submissions",
    ),
    one_queue=True,
    settings=(
        SourceSetting(
            name="SEC_USER_AGENT",
            sentence="Who asks, as the SEC wants it: company and mail address of a contact.",
            required=True,
        ),
        base_url("SEC_BASE_URL", "https://www.sec.gov"),
        SourceSetting(
            name="SEC_DATA_BASE_URL",
            default="https://data.sec.gov",
            sentence="Where its JSON is reached.",
        ),
        SourceSetting(
            name="SEC_REQUESTS_PER_S",
            default="8",
            sentence="Most requests a second over all hosts and runs; above 10 the SEC blocks us.",
        ),
        SourceSetting(
            name="SEC_COMPANIES",
            sentence="CIKs to look at; without any, every company with a ticker symbol.",
        ),
        SourceSetting(
            name="SEC_COUNTY_ZIPS",
            default=(
                "94022,94023,94024,94035,94039,94040,94041,94042,94043,94085,94086,94087,94088,"
                "94089,9430,95002,95008,95009,95011,95013,95014,95015,95020,95021,95026,95030,"
                "95031,95032,95035,95036,95037,95038,95042,95044,95046,9505,95070,95071,951"
            ),
            sentence="ZIP codes of the county, or the digits that they start with.",
        ),
        SourceSetting(
            name="SEC_COUNTY_CITIES",
            default=(
                "Alviso,Campbell,Cupertino,Gilroy,Los Altos,Los Altos Hills,Los Gatos,Milpitas,"
                "Moffett Field,Monte Sereno,Morgan Hill,Mountain View,Palo Alto,San Jose,"
                "San Martin,Santa Clara,Saratoga,Stanford,Sunnyvale"
            ),
            sentence="Cities of the county.",
        ),
    ),
)

IRS = Upstream(
    name="irs",
    title="IRS Statistics of Income",
    feeds=("irs-soi-csv",),
    settings=(
        base_url("IRS_BASE_URL", "https://www.irs.gov"),
        pace("IRS_REQUESTS_PER_S", "1"),
        SourceSetting(
            name="IRS_FIRST_TAX_YEAR",
            default="2018",
            sentence="First tax year to collect, 2013 or later; an earlier one is caught up with.",
        ),
        SourceSetting(
            name="IRS_COUNTY",
            default="06085",
            sentence="FIPS code of the county: two digits of the state, three of the county.",
        ),
        SourceSetting(
            name="IRS_ZIP_CODES",
            default=(
                "94022,94024,94040,94041,94043,94085,94086,94087,94089,94301,94303,94304,94305,"
                "94306,95002,95008,95014,95020,95030,95032,95033,95035,95037,95046,95050,95051,"
                "95054,95070,95110,95111,95112,95113,95116,95117,95118,95119,95120,95121,95122,"
                "95123,95124,95125,95126,95127,95128,95129,95130,95131,95132,95133,95134,95135,"
                "95136,95138,95139,95148"
            ),
            sentence="ZIP codes in the state of the county; a new one is caught up with.",
        ),
    ),
)

CDTFA = Upstream(
    name="cdtfa",
    title="CDTFA (California sales taxes)",
    feeds=("cdtfa-odata",),
    settings=(
        base_url("CDTFA_BASE_URL", "https://cdtfa.ca.gov"),
        pace("CDTFA_REQUESTS_PER_S", "1"),
        SourceSetting(
            name="CDTFA_USER_AGENT",
            default="Mozilla/5.0 (compatible; ainative-lake)",
            sentence="How we call ourselves; names of plain tools are turned away.",
        ),
        SourceSetting(name="CDTFA_COUNTY", default="SANTA CLARA", sentence="Name of the county."),
        SourceSetting(
            name="CDTFA_COUNTY_FIPS",
            default="085",
            sentence="FIPS code of the county, three digits.",
        ),
    ),
)

USASPENDING = Upstream(
    name="usaspending",
    title="USAspending.gov",
    settings=(
        base_url("USASPENDING_BASE_URL", "https://api.usaspending.gov"),
        pace("USASPENDING_REQUESTS_PER_S", "2"),
        SourceSetting(
            name="USASPENDING_STATE",
            default="CA",
            sentence="State of the county where the work is done, two letters.",
        ),
        SourceSetting(
            name="USASPENDING_COUNTY",
            default="085",
            sentence="That county, 3-digit FIPS.",
        ),
    ),
)

CENSUS = Upstream(
    name="census",
    title="US Census Bureau",
    feeds=(
        "census-acs",
        "census-cbp",
    ),
    settings=(
        SourceSetting(
            name="CENSUS_API_KEY",
            sentence="API key, free at api.census.gov/data/key_signup.html.",
            required=True,
            secret=True,
        ),
        base_url("CENSUS_BASE_URL", "https://api.census.gov"),
        pace("CENSUS_REQUESTS_PER_S", "1"),
        SourceSetting(name="CENSUS_STATE", default="06", sentence="The state, 2-digit FIPS."),
        SourceSetting(name="CENSUS_COUNTY", default="085", sentence="The county, 3-digit FIPS."),
        SourceSetting(
            name="CENSUS_PLACES",
            default=(
                "10345,17610,29504,43280,43294,44112,47766,48956,49278,49670,55282,68000,69084,"
                "70280,77000"
            ),
            sentence="Its cities and towns, 5-digit FIPS.",
        ),
        SourceSetting(
            name="CENSUS_ZIP_CODES",
            default=(
                "94022,94023,94024,94035,94039,94040,94041,94042,94043,94085,94086,94087,94088,"
                "94089,94301,94302,94303,94304,94305,94306,94309,95002,95008,95009,95011,95013,"
                "95014,95015,95020,95021,95026,95030,95031,95032,95033,95035,95036,95037,95038,"
                "95042,95044,95046,95050,95051,95052,95053,95054,95055,95056,95070,95071,95101,"
                "95103,95106,95108,95109,95110,95111,95112,95113,95115,95116,95117,95118,95119,"
                "95120,95121,95122,95123,95124,95125,95126,95127,95128,95129,95130,95131,95132,"
                "95133,95134,95135,95136,95138,95139,95140,95141,95148,95150,95151,95152,95153,"
                "95154,95155,95156,95157,95158,95159,95160,95161,95162,95163,95164,95170,95172,"
                "95173,95190,95191,95192,95193,95194,95196"
            ),
            sentence="Its ZIP codes; those that a dataset does not know are left out.",
        ),
        SourceSetting(
            name="CENSUS_ACS_DATASETS",
            default="acs/acs5,acs/acs1",
            sentence="Products of the American Community Survey.",
        ),
        SourceSetting(
            name="CENSUS_ACS_FIRST_VINTAGE",
            default="2020",
            sentence="The oldest vintage that is read; ZIP code areas want 2020 or later.",
        ),
        SourceSetting(
            name="CENSUS_ACS_VARIABLES",
            default=(
                "B01002_001,B01003_001,B03002_001,B03002_003,B03002_004,B03002_006,B03002_012,"
                "B05002_013,B11001_001,B15003_001,B15003_022,B15003_023,B15003_024,B15003_025,"
                "B17001_001,B17001_002,B19013_001,B19301_001,B23025_002,B23025_005,B25001_001,"
                "B25003_001,B25003_002,B25003_003,B25064_001,B25077_001"
            ),
            sentence="Variables without E or M; unknown ones are left out with a warning.",
        ),
        SourceSetting(
            name="CENSUS_CBP_FIRST_YEAR",
            default="2019",
            sentence="The oldest year of the business patterns; ZIP codes want 2019 or later.",
        ),
    ),
)
