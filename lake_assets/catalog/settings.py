"""What a setting is, and the settings that more than one program of the lake reads.

Belongs here: reading one setting from its text, the table of settings outside the query service,
and the check for names that nobody reads.
Does not belong here: the query service's own table (`lake_api.settings`), the settings of one
outside source (`lake_assets.sources.config`), reading `os.environ`.
"""

import difflib
import importlib
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SWITCHES = {"on": True, "true": True, "1": True, "yes": True} | {
    "off": False,
    "false": False,
    "0": False,
    "no": False,
}
_UNITS = {"_BYTES": " of bytes", "_S": " of seconds", "_DAYS": " of days", "_ROWS": " of rows"}
_SHOWN_CHARS = 60
_OWN_PREFIX = "LAKE_"
_SHARED_PREFIXES = ("AINATIVE_", "MINIO_", "PLATFORM_")
# Alike enough to be a slip of the finger: MINIO_SECRUE, not another program's MINIO_ROOT_USER.
_SLIP = 0.85
_SLIP_AMONG_OURS = 0.92
# Kubernetes puts these into every pod for a service whose name begins with `lake-`.
_SERVICE_LINK = re.compile(
    r".+_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)"
)

# With more digits, int() raises an error of its own.
_WHOLE = re.compile(r"-?[0-9]{1,100}")
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?")


class SettingsError(ValueError):
    """A setting can't be used; the message names it and says what it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable: its name, default text, meaning and parser.

    The text of a `secret` appears in no message.
    """

    name: str
    default: str
    sentence: str
    parse: Callable[[str], Any] = str
    secret: bool = False

    @property
    def attribute(self) -> str:
        """The attribute of `lake_api.settings.Settings` that holds the value."""
        return self.name.lower().removeprefix("lake_")

    def read(self, env: Mapping[str, str]) -> Any:
        """The value in an environment; what is missing or blank takes the default.

        Raises:
            SettingsError: the text is not what the setting takes.
        """
        text = env.get(self.name, "").strip() or self.default
        try:
            return self.parse(text)
        except ValueError as error:
            unit = next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), "")
            takes = str(error).replace("{unit}", unit)
            shown = "" if self.secret else f", not {text[:_SHOWN_CHARS]!r}"
            raise SettingsError(f"{self.name}: {takes}{shown}") from error


def networks(text: str) -> tuple[Network, ...]:
    """Networks with commas between them; `none` for no network."""
    if text.lower() == "none":
        return ()
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(
            "must be networks such as 10.0.0.0/8, with commas between them, or none"
        ) from error


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them, in lower case."""
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def countries(text: str) -> tuple[str, ...]:
    """Codes of countries or of parts of them, such as DE-BY, with commas between them."""
    found = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    if not all(_COUNTRY.fullmatch(part) for part in found):
        raise ValueError("must be codes of countries such as US or DE-BY, with commas between them")
    for part in found:
        if not _has_holidays(part):
            raise ValueError(
                f"no public holidays are known of {part}; must be codes of countries such as US, "
                "or of parts of one such as DE-BY"
            )
    return found


def _has_holidays(place: str) -> bool:
    # Loaded only where a country is set: not every program of the lake forecasts.
    library = importlib.import_module("holidays")
    country, _, part = place.partition("-")
    try:
        library.country_holidays(country, subdiv=part or None)
    except NotImplementedError:
        return False
    return True


def switch(text: str) -> bool:
    """On or off."""
    value = _SWITCHES.get(text.lower())
    if value is None:
        raise ValueError("must be on or off")
    return value


def whole_int(text: str) -> int:
    """A whole number, 0 or above."""
    value = _int(text)
    if value is None or value < 0:
        raise ValueError("must be a whole number{unit}, 0 or above")
    return value


def positive_int(text: str) -> int:
    """A whole number above 0."""
    value = _int(text)
    if value is None or value <= 0:
        raise ValueError("must be a whole number{unit} above 0")
    return value


def positive_float(text: str) -> float:
    """A number above 0."""
    try:
        # As with whole numbers, neither 1_000 nor digits of other scripts.
        value = float(text) if text.isascii() and "_" not in text else 0.0
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("must be a number{unit} above 0")
    return value


def up_to(largest: int, parse: Callable[[str], float]) -> Callable[[str], Any]:
    """What `parse` takes, and not more than `largest`."""

    def bounded(text: str) -> float:
        value = parse(text)
        if value > largest:
            raise ValueError(f"must be at most {largest:,}")
        return value

    return bounded


def port(text: str) -> int:
    """A TCP port."""
    value = _int(text)
    if value is None or not 0 < value < 65_536:
        raise ValueError("must be a port from 1 to 65535")
    return value


def origin(text: str) -> str:
    """A URL of a scheme and a host alone, or nothing."""
    if not text:
        return text
    parts = _split(text)
    if parts is None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be like https://host:port")
    return text.rstrip("/")


def http_url(text: str) -> str:
    """An address that begins with http:// or https://, or nothing."""
    if text and _split(text) is None:
        raise ValueError("must be an address that begins with http:// or https://")
    return text.rstrip("/")


def _split(text: str) -> Any:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and parts.hostname else None


def _int(text: str) -> int | None:
    # int() also takes 1_000 and digits of other scripts, which no other program reads.
    return int(text) if _WHOLE.fullmatch(text) else None


_budget = up_to(100_000_000_000, positive_float)
"""US dollars that a column of type decimal(18,6) can hold."""

LAKE_SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="LAKE_BUCKET",
        default="",
        sentence="Bucket of the lake; `ainative-lake` when unset.",
    ),
    Setting(
        name="LAKE_READER_ACCESS_KEY",
        default="",
        sentence="S3 identity of the query service, which may only get and list.",
    ),
    Setting(
        name="LAKE_READER_SECRET_KEY", default="", sentence="Secret of that identity.", secret=True
    ),
    Setting(
        name="LAKE_ALLOW_WRITER_KEY",
        default="off",
        sentence="`on` lets the query service start with the writer's identity "
        "(`MINIO_ACCESS_KEY`) where no reader's is set.",
        parse=switch,
    ),
    Setting(
        name="LAKE_SCHEDULES",
        default="off",
        sentence="`on` starts schedules and sensors with the code server.",
        parse=switch,
    ),
    Setting(
        name="LAKE_CATCH_UP_DAYS",
        default="7",
        sentence="Days that `catch_up` looks back; 0 turns it off.",
        parse=up_to(36_500, whole_int),
    ),
    Setting(
        name="LAKE_HOLIDAYS",
        default="",
        sentence="Countries whose public holidays the forecasts know, such as `DE-BY,US`; "
        "24 December to 1 January is always known.",
        parse=countries,
    ),
    Setting(
        name="LAKE_MONTHLY_BUDGET_USD",
        default="",
        sentence="US dollars that language models may cost in a month; projections tell the day it "
        "is used up.",
        parse=lambda text: _budget(text) if text else None,
    ),
    Setting(
        name="LAKE_ALERT_WEBHOOK_URL",
        default="",
        sentence="Address that alarms are posted to as JSON.",
        parse=http_url,
        secret=True,
    ),
    Setting(
        name="LAKE_ALERT_SLACK_WEBHOOK_URL",
        default="",
        sentence="Address that alarms are posted to in Slack's form.",
        parse=http_url,
        secret=True,
    ),
    Setting(
        name="LAKE_HTTP_TIMEOUT_S",
        default="60",
        sentence="Seconds of silence after which a request is given up.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_HTTP_ATTEMPTS",
        default="6",
        sentence="How often a request is tried before the run fails.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_HTTP_MAX_WAIT_S",
        default="120",
        sentence="Longest pause between two tries; a source that asks for more is given up.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_PLATFORM_LOCK_TIMEOUT_S",
        default="10",
        sentence="Seconds that an export waits for a locked table before that one fails.",
        parse=up_to(86_400, positive_float),
    ),
    Setting(
        name="LAKE_LATE_ROWS_DAYS",
        default="28",
        sentence="Days whose rows lake.late_rows compares with the database once a week.",
        parse=up_to(36_500, positive_int),
    ),
    Setting(
        name="LAKE_HISTORY_DAYS",
        default="30",
        sentence="Days that Dagster keeps every event and log of; see docs/operations.md for the "
        "rest.",
        parse=up_to(36_500, positive_int),
    ),
    Setting(
        name="LAKE_DAGSTER_DIR",
        default="",
        sentence="Directory of Dagster's storage, as `dagster.yaml` reads it.",
    ),
    Setting(
        name="LAKE_CODE_PORT",
        default="",
        sentence="Port of the code server, as `workspace.yaml` reads it.",
        parse=lambda text: port(text) if text else None,
    ),
    Setting(
        name="LAKE_DAGSTER_ALLOWED_HOSTS",
        default="",
        sentence="Names, beside loopback, that Dagster's UI may be called by; `*.example.com` for "
        "all below one.",
        parse=names,
    ),
    Setting(
        name="LAKE_STATE_DIR",
        default="",
        sentence="Directory of what `lake up` keeps; `.lake` in the checkout when unset.",
    ),
    Setting(name="LAKE_API_URL", default="", sentence="Service that commands ask.", parse=http_url),
    Setting(name="LAKE_TOKEN", default="", sentence="Token that commands send.", secret=True),
)
"""Settings that are read outside the query service, or by it and others."""

OTHER_NAMES = (
    "AINATIVE_INTERNAL_API_KEY",
    "MINIO_URL",
    "MINIO_ENDPOINT",
    "MINIO_SECURE",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
    "MINIO_REGION",
    "PLATFORM_DATABASE_URL",
)
"""Names of ours whose prefix other programs use as well."""


def read_lake_setting(name: str, env: Mapping[str, str]) -> Any:
    """The value of one of `LAKE_SETTINGS`.

    Raises:
        SettingsError: the text is not what the setting takes.
    """
    (setting,) = (setting for setting in LAKE_SETTINGS if setting.name == name)
    return setting.read(env)


def check_names(
    env: Mapping[str, str], known: Collection[str], *, is_complete: bool = True
) -> None:
    """Refuse names that look like settings of the lake and that nobody reads.

    With all settings in `known` (`is_complete`), every other `LAKE_…` is refused. Otherwise, and
    for prefixes that other programs use as well, only a name that is nearly one of ours is.

    Raises:
        SettingsError: there is such a name; the message offers the nearest one.
    """
    ours = sorted({*known, *OTHER_NAMES})
    for name in sorted(env):
        if name in ours or not name.upper().startswith((_OWN_PREFIX, *_SHARED_PREFIXES)):
            continue
        if _SERVICE_LINK.fullmatch(name) or env[name].startswith(("tcp://", "udp://")):
            continue
        is_own = name.upper().startswith(_OWN_PREFIX)
        is_refused = is_own and is_complete
        cutoff = 0.75 if is_refused else _SLIP_AMONG_OURS if is_own else _SLIP
        found = difflib.get_close_matches(name.upper(), ours, n=1, cutoff=cutoff)
        if not is_refused and (not found or name.upper().startswith(f"{found[0]}_")):
            continue
        hint = f"did you mean {found[0]}?" if found else "README.md lists the settings."
        raise SettingsError(f"{name}: there is no such setting; {hint}")


def check_lake_settings(env: Mapping[str, str]) -> None:
    """Read every setting of `LAKE_SETTINGS` once, so that a fault is found at the start.

    Raises:
        SettingsError: a value is not what its setting takes, or a name is nearly one of these.
    """
    check_names(env, [setting.name for setting in LAKE_SETTINGS], is_complete=False)
    for setting in LAKE_SETTINGS:
        setting.read(env)


def platform_database_url(env: Mapping[str, str]) -> str:
    """`PLATFORM_DATABASE_URL` in the spelling of libpq; empty where it is unset.

    Raises:
        SettingsError: it names no Postgres server. The message quotes nothing of it, since the
            URL usually holds a password.
    """
    url = env.get("PLATFORM_DATABASE_URL", "").strip()
    if not url:
        return ""
    # SQLAlchemy's spelling of the scheme is common in shared settings; libpq wants its own.
    scheme, _, rest = url.partition("://")
    scheme = scheme.partition("+")[0]
    if scheme not in {"postgresql", "postgres"} or not rest:
        raise SettingsError(
            "PLATFORM_DATABASE_URL: must be the URL of a Postgres database, "
            "postgresql://user:password@host:5432/database"
        )
    return f"{scheme}://{rest}"
