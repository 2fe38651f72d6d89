"""What each outside source needs from the environment, as one table of data.

Belongs here: names, sentences and defaults of settings, and turning an environment into values.
Does not belong here: using them (`http`, the module of the upstream). Standard library only, so
that a command or a documentation generator can show the table without loading a client.

Every upstream can be pointed elsewhere by its `…_BASE_URL` and slowed down or sped up by its
`…_REQUESTS_PER_S`. What could not be confirmed about an upstream is a default here, not code.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lake_assets.sources.errors import NotConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSetting:
    """One environment variable of a source. A `secret` never appears in a log or an error."""

    name: str
    sentence: str
    default: str = ""
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One outside service: what people call it, and its settings.

    Of the settings named in `one_of` at least one must be set. With `one_queue`, its pace counts
    requests to all of its hosts together.
    """

    name: str
    title: str
    settings: tuple[SourceSetting, ...]
    one_of: tuple[str, ...] = ()
    one_queue: bool = False

    def missing(self, env: Mapping[str, str]) -> tuple[str, ...]:
        """What a person has to set before this source can be asked; empty if nothing."""
        needed = [s.name for s in self.settings if s.required and not env.get(s.name, "").strip()]
        if self.one_of and not any(env.get(name, "").strip() for name in self.one_of):
            needed.append(" or ".join(self.one_of))
        return tuple(needed)

    def values(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """Every setting by name, with defaults where the environment says nothing.

        Raises:
            NotConfigured: a required setting is missing, or a base URL is none.
        """
        if missing := self.missing(env):
            raise NotConfigured(f"{self.title} is not configured: set {', '.join(missing)}")
        values = {s.name: env.get(s.name, "").strip() or s.default for s in self.settings}
        for name in [name for name in values if name.endswith("_BASE_URL")]:
            values[name] = values[name].rstrip("/")
            if not values[name].startswith(("https://", "http://")):
                raise NotConfigured(f"{self.title}: {name} must start with https:// or http://")
        return values

    def why_not(self, env: Mapping[str, str]) -> str:
        """One sentence on why this source can't be asked; empty if it can."""
        try:
            self.requests_per_s(self.values(env))
        except NotConfigured as missing:
            return str(missing)
        return ""

    def secrets(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The values that must not be shown."""
        return tuple(values[s.name] for s in self.settings if s.secret and values[s.name])

    def requests_per_s(self, values: Mapping[str, str]) -> float:
        """The pace that the settings ask for.

        Raises:
            NotConfigured: it is no number above 0.
        """
        (name,) = (s.name for s in self.settings if s.name.endswith("_REQUESTS_PER_S"))
        try:
            pace = float(values[name])
        except ValueError:
            pace = 0.0
        if not 0 < pace < float("inf"):
            raise NotConfigured(f"{self.title}: {name} must be a number above 0")
        return pace


def listed(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated setting, each once, in order."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _base_url(name: str, default: str) -> SourceSetting:
    return SourceSetting(name=name, default=default, sentence="Where it is reached.")


def _pace(name: str, default: str) -> SourceSetting:
    return SourceSetting(name=name, default=default, sentence="Most requests a second to one host.")


EDD = Upstream(
    name="edd",
    title="California EDD (data.ca.gov)",
    settings=(
        _base_url("EDD_BASE_URL", "https://data.ca.gov"),
        _pace("EDD_REQUESTS_PER_S", "2"),
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
        _base_url("FRED_BASE_URL", "https://api.stlouisfed.org"),
        _pace("FRED_REQUESTS_PER_S", "1.5"),
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

PACKAGES = Upstream(
    name="packages",
    title="npm and PyPI downloads",
    settings=(
        SourceSetting(name="NPM_PACKAGES", sentence="npm packages to count, with their scope."),
        SourceSetting(name="PYPI_PACKAGES", sentence="PyPI packages to count."),
        _base_url("NPM_BASE_URL", "https://api.npmjs.org"),
        _base_url("PYPISTATS_BASE_URL", "https://pypistats.org"),
        _pace("PACKAGES_REQUESTS_PER_S", "1"),
    ),
    one_of=("NPM_PACKAGES", "PYPI_PACKAGES"),
)

GITHUB = Upstream(
    name="github",
    title="GitHub",
    settings=(
        SourceSetting(
            name="GITHUB_TOKEN",
            sentence="Token that may read the repositories (contents or metadata is enough).",
            required=True,
            secret=True,
        ),
        SourceSetting(name="GITHUB_REPOS", sentence="Repositories, as owner/name.", required=True),
        _base_url("GITHUB_BASE_URL", "https://api.github.com"),
        _pace("GITHUB_REQUESTS_PER_S", "1"),
        SourceSetting(
            name="GITHUB_API_VERSION",
            default="2022-11-28",
            sentence="Version of GitHub's API that is asked for.",
        ),
    ),
)

SLACK = Upstream(
    name="slack",
    title="Slack",
    settings=(
        SourceSetting(
            name="SLACK_BOT_TOKEN",
            sentence=(
                "Token of a bot with channels:read, groups:read, channels:history and "
                "groups:history; it sees the channels that it is a member of."
            ),
            required=True,
            secret=True,
        ),
        _base_url("SLACK_BASE_URL", "https://slack.com"),
        _pace("SLACK_REQUESTS_PER_S", "0.8"),
        SourceSetting(
            name="SLACK_PAGE_ROWS",
            default="200",
            sentence="Channels or messages per answer; 15 is the most for some distributed apps.",
        ),
    ),
)

EMAIL = Upstream(
    name="email",
    title="E-mail provider",
    settings=(
        SourceSetting(
            name="EMAIL_PROVIDER", sentence="Who sends the mail: resend or postmark.", required=True
        ),
        SourceSetting(
            name="EMAIL_API_KEY",
            sentence="API key of Resend with full access, or server token of Postmark.",
            required=True,
            secret=True,
        ),
        _base_url("RESEND_BASE_URL", "https://api.resend.com"),
        _base_url("POSTMARK_BASE_URL", "https://api.postmarkapp.com"),
        _pace("EMAIL_REQUESTS_PER_S", "1.5"),
        SourceSetting(
            name="EMAIL_LOOKBACK_DAYS",
            default="3",
            sentence="Postmark: how many days after it was sent a message is asked for events.",
        ),
    ),
)

LUMA = Upstream(
    name="luma",
    title="Luma",
    settings=(
        SourceSetting(
            name="LUMA_API_KEY",
            sentence="API key of the calendar; needs Luma Plus.",
            required=True,
            secret=True,
        ),
        SourceSetting(
            name="LUMA_CALENDAR_ID",
            sentence="Calendar to read, cal-...; only a key of an organization needs it.",
        ),
        _base_url("LUMA_BASE_URL", "https://public-api.luma.com"),
        _pace("LUMA_REQUESTS_PER_S", "2"),
    ),
)

SEC = Upstream(
    name="sec",
    title="SEC EDGAR",
    one_queue=True,
    settings=(
        SourceSetting(
            name="SEC_USER_AGENT",
            sentence="Who asks, as the SEC wants it: company and mail address of a contact.",
            required=True,
        ),
        _base_url("SEC_BASE_URL", "https://www.sec.gov"),
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
    settings=(
        _base_url("IRS_BASE_URL", "https://www.irs.gov"),
        _pace("IRS_REQUESTS_PER_S", "1"),
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
    settings=(
        _base_url("CDTFA_BASE_URL", "https://cdtfa.ca.gov"),
        _pace("CDTFA_REQUESTS_PER_S", "1"),
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
        _base_url("USASPENDING_BASE_URL", "https://api.usaspending.gov"),
        _pace("USASPENDING_REQUESTS_PER_S", "2"),
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
    settings=(
        SourceSetting(
            name="CENSUS_API_KEY",
            sentence="API key, free at api.census.gov/data/key_signup.html.",
            required=True,
            secret=True,
        ),
        _base_url("CENSUS_BASE_URL", "https://api.census.gov"),
        _pace("CENSUS_REQUESTS_PER_S", "1"),
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

CHATWOOT = Upstream(
    name="chatwoot",
    title="Chatwoot",
    settings=(
        SourceSetting(
            name="CHATWOOT_API_TOKEN",
            sentence="Access token of an administrator, from the profile settings.",
            required=True,
            secret=True,
        ),
        SourceSetting(
            name="CHATWOOT_ACCOUNT_ID",
            sentence="Number of the account, as in the address of its dashboard.",
            required=True,
        ),
        SourceSetting(
            name="CHATWOOT_BASE_URL",
            sentence="Where the installation is reached, such as https://app.chatwoot.com.",
            required=True,
        ),
        _pace("CHATWOOT_REQUESTS_PER_S", "5"),
    ),
)

STRIPE = Upstream(
    name="stripe",
    title="Stripe",
    settings=(
        SourceSetting(
            name="STRIPE_API_KEY",
            sentence="Restricted key that may read events; it decides on live or test mode.",
            required=True,
            secret=True,
        ),
        _base_url("STRIPE_BASE_URL", "https://api.stripe.com"),
        _pace("STRIPE_REQUESTS_PER_S", "10"),
    ),
)

KONG = Upstream(
    name="kong",
    title="Kong",
    settings=(
        SourceSetting(
            name="KONG_BASE_URL",
            sentence="Admin or Status API of every node, such as http://10.0.0.5:8001.",
            required=True,
        ),
        SourceSetting(
            name="KONG_ADMIN_TOKEN",
            sentence="Token for the Admin API, where it wants one.",
            secret=True,
        ),
        _pace("KONG_REQUESTS_PER_S", "10"),
    ),
)

DEALROOM = Upstream(
    name="dealroom",
    title="Deal room",
    settings=(
        SourceSetting(
            name="DEALROOM_API_TOKEN",
            sentence="Token that may read the sessions.",
            required=True,
            secret=True,
        ),
        SourceSetting(
            name="DEALROOM_BASE_URL",
            sentence="Where the deal room's export of sessions is reached.",
            required=True,
        ),
        SourceSetting(
            name="DEALROOM_SESSIONS_PATH",
            default="/api/v1/sessions",
            sentence="Path of the export.",
        ),
        SourceSetting(name="DEALROOM_PAGE_ROWS", default="500", sentence="Sessions per answer."),
        _pace("DEALROOM_REQUESTS_PER_S", "2"),
    ),
)

UPSTREAMS: tuple[Upstream, ...] = (
    EDD,
    FRED,
    PACKAGES,
    GITHUB,
    SLACK,
    EMAIL,
    LUMA,
    SEC,
    IRS,
    CDTFA,
    USASPENDING,
    CENSUS,
    CHATWOOT,
    STRIPE,
    KONG,
    DEALROOM,
)
"""Every outside source, in the order in which people read of them."""

HTTP = Upstream(
    name="http",
    title="Requests to any source",
    settings=(
        SourceSetting(
            name="LAKE_HTTP_TIMEOUT_S",
            default="60",
            sentence="Seconds of silence after which a request is given up.",
        ),
        SourceSetting(
            name="LAKE_HTTP_ATTEMPTS",
            default="6",
            sentence="How often a request is tried before the run fails.",
        ),
        SourceSetting(
            name="LAKE_HTTP_MAX_WAIT_S",
            default="120",
            sentence="Longest pause between two tries; a source that asks for more is given up.",
        ),
    ),
)


def setting_names() -> frozenset[str]:
    """Every environment variable that belongs to a source, or to asking them."""
    return frozenset(s.name for upstream in (*UPSTREAMS, HTTP) for s in upstream.settings)
