"""Every setting of the query service as data: name, default, sentence.

Belongs here: what can be set, its default, how its text is read.
Does not belong here: using a setting; reading the environment at import.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lake_assets.catalog.settings import (
    LAKE_SETTINGS,
    Network,
    Setting,
    SettingsError,
    check_lake_settings,
    check_names,
    http_url,
    names,
    networks,
    origin,
    positive_float,
    positive_int,
    switch,
    whole_int,
)

__all__ = [
    "SETTINGS",
    "Network",
    "Setting",
    "Settings",
    "SettingsError",
    "all_names",
    "check_environment",
]


def _origins(text: str) -> tuple[str, ...]:
    return tuple(origin(part) for part in names(text))


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="AINATIVE_INTERNAL_API_KEY",
        default="",
        sentence="Key that admin routes want in `X-Internal-API-Key`; unset, they refuse everyone.",
        secret=True,
    ),
    Setting(
        name="LAKE_INTERNAL_NETWORKS",
        default="127.0.0.0/8,::1/128",
        sentence="Networks whose peers are internal agents when no proxy forwarded the request; "
        "`none`: everyone must authenticate.",
        parse=networks,
    ),
    Setting(
        name="LAKE_TRUSTED_PROXIES",
        default="none",
        sentence="Networks of your proxies. A request from one of them never comes from an "
        "internal agent, and its `Forwarded` or `X-Forwarded-For` names the client.",
        parse=networks,
    ),
    Setting(
        name="LAKE_ALLOWED_HOSTS",
        default="",
        sentence="Host names (`lake.example.com`, `*.example.com`, `*`) that requests may name in "
        "`Host`, beside loopback names and IP addresses.",
        parse=names,
    ),
    Setting(
        name="LAKE_ALLOWED_ORIGINS",
        default="",
        sentence="Origins (`https://app.example.com`, with its port) whose pages may call "
        "the service from a browser, `/mcp` included, beside its own.",
        parse=_origins,
    ),
    Setting(
        name="LAKE_DAGSTER_URL",
        default="http://127.0.0.1:3000",
        sentence="Dagster webserver that runs are launched through.",
        parse=http_url,
    ),
    Setting(
        name="LAKE_DAGSTER_TIMEOUT_S",
        default="10",
        sentence=(
            "Seconds that Dagster may take to answer; a launch whose answer is late is then looked "
            "for, and is not sent twice."
        ),
        parse=positive_float,
    ),
    Setting(
        name="LAKE_DATABASE_URL",
        default="sqlite:///.lake/service.db",
        sentence="The service's own database (tokens, jobs, exports, audit): `sqlite:///file` or "
        "`postgresql://…`.",
        secret=True,
    ),
    Setting(
        name="LAKE_CACHE_DIR",
        default="",
        sentence="Directory of the object cache; unset, a directory below the system's temp.",
    ),
    Setting(
        name="LAKE_CACHE_BYTES",
        default="10737418240",
        sentence="Byte budget of the object cache; less where its disk has less, for 512 MiB or a "
        "twentieth of the disk stay free.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_SEGMENT_BYTES",
        default="10737418240",
        sentence="Byte budget of segments: hot datasets in the engine's own format; 0 for none.",
        parse=whole_int,
    ),
    Setting(
        name="LAKE_QUERY_WORKERS",
        default="2",
        sentence="Query worker processes.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_HEAVY_WORKERS",
        default="1",
        sentence="Further workers, of a lower priority, for heavy queries; these may also use all "
        "of the other workers but one. With 0 and one query worker, a job or an export holds up "
        "all other queries for as long as it runs.",
        parse=whole_int,
    ),
    Setting(
        name="LAKE_HEAVY_BYTES",
        default="67108864",
        sentence="A query that reads more than so many stored bytes is a heavy one.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_HEAVY_AFTER_S",
        default="2",
        sentence="A query that has run for so long is a heavy one: where a light query of another "
        "agent waits, it gives up its worker and starts again among the heavy ones. It does so "
        "earlier where its swarm or peer has several workers and another one waits for its first.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_QUERY_THREADS",
        default="2",
        sentence="DuckDB threads in each worker.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_QUERY_MEMORY_BYTES",
        default="1073741824",
        sentence="DuckDB memory limit in each worker.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_QUERY_ADDRESS_SPACE_BYTES",
        default="4294967296",
        sentence="Address space that a worker may grow by before the system refuses it memory; all "
        "processes together stay below (`LAKE_QUERY_WORKERS` + `LAKE_HEAVY_WORKERS`) times (this + "
        "250 MB), and for the service itself 250 MB and `LAKE_RESULT_CACHE_BYTES`; while a segment "
        "is built, its process comes to these, whose engine has 512 MB.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_QUERY_TIMEOUT_S",
        default="30",
        sentence="Seconds that a query may take, at most 55.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_QUERY_GRACE_S",
        default="1",
        sentence="Seconds between interrupting a query and killing its worker.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_QUERY_QUEUE",
        default="64",
        sentence="Queries that may wait for a worker; one more is refused at once.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_AGENT_CONCURRENCY",
        default="4",
        sentence="Queries of one agent that run or wait at the same time.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_RESULT_BYTES",
        default="1000000",
        sentence="Bytes of JSON rows in one answer; more is cut at a row and marked `truncated`.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_RESULT_CACHE_BYTES",
        default="67108864",
        sentence="Byte budget of the result cache.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_BODY_BYTES",
        default="65536",
        sentence="Bytes of a request body that the service reads.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_MCP_ANSWER_CHARS",
        default="50000",
        sentence="Characters of one answer over MCP; more is cut at a row and says so.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_CALLS_PER_CRON_RUN",
        default="10",
        sentence="Query calls of one agent within one `X-Cron-Run-ID`.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_CALLS_PER_MINUTE",
        default="120",
        sentence="Query calls of one agent within a minute when it names no cron run.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_CALLS_PER_MINUTE_OF_RUNS",
        default="600",
        sentence="Query calls of one agent within a minute in all of its cron runs together.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_RATE_LIMIT_STORE",
        default="memory://",
        sentence="Where call counts are kept: a `limits` storage URI (`redis://…` for replicas, "
        "with the extra `redis`).",
        secret=True,
    ),
    Setting(
        name="LAKE_JOB_TIMEOUT_S",
        default="600",
        sentence="Seconds that a job may take once it has begun.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_JOB_ROWS",
        default="1000000",
        sentence="Rows of a job's result; more is cut and marked `truncated`.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_JOB_BYTES",
        default="268435456",
        sentence="Bytes that a job's result is stored in; more is cut and marked `truncated`.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_JOB_TTL_S",
        default="86400",
        sentence="Seconds that a job is kept once it is over.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_JOB_CONCURRENCY",
        default="1",
        sentence="Jobs and exports that run at a time in one process; each is a heavy query.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_JOBS_PER_AGENT",
        default="100",
        sentence="Jobs and exports of one caller that may wait or run.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_JOB_RETRIES",
        default="3",
        sentence="How often a job is begun again that ended by accident (a lost process, storage "
        "away).",
        parse=whole_int,
    ),
    Setting(
        name="LAKE_EXPORT_ACCESS_KEY",
        default="",
        sentence="S3 identity that may write below `exports/` and nowhere else, with its secret in "
        "`LAKE_EXPORT_SECRET_KEY`; unset, jobs and exports are off.",
    ),
    Setting(
        name="LAKE_EXPORT_SECRET_KEY",
        default="",
        sentence="Secret of that identity.",
        secret=True,
    ),
    Setting(
        name="LAKE_EXPORT_URL",
        default="",
        sentence="Scheme and host by which callers reach S3 itself. Unset, links to files lead to "
        "the service, which judges them at each use; set, they are signed URLs of S3, which take "
        "no HEAD and which nobody can take back before they expire.",
        parse=origin,
    ),
    Setting(
        name="LAKE_EXPORT_LINK_S",
        default="300",
        sentence="Seconds that a link to an export or an artifact is good for, at most 604800. A "
        "link of the service ends at once with the right to its file; one of S3 "
        "(`LAKE_EXPORT_URL`) goes on, so keep it to minutes.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_EXPORT_TIMEOUT_S",
        default="3600",
        sentence="Seconds that an export may take once it has begun.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_EXPORT_ROWS",
        default="100000000",
        sentence="Rows of an export; more is cut and marked `truncated`.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_EXPORT_BYTES",
        default="10737418240",
        sentence="Bytes of an export; more is cut and marked `truncated`.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_EXPORT_TTL_S",
        default="604800",
        sentence="Seconds that an export is kept.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_ARTIFACT_BYTES",
        default="52428800",
        sentence="Bytes of an artifact.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_ARTIFACT_QUOTA_BYTES",
        default="1073741824",
        sentence="Bytes of all artifacts of one owner.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_ARTIFACTS_PER_AGENT",
        default="1000",
        sentence="Artifacts of one owner.",
        parse=positive_int,
    ),
    Setting(
        name="LAKE_LOG_SQL",
        default="off",
        sentence="`on` puts the text of every query into its log line and its audit row, beside "
        "its hash.",
        parse=switch,
    ),
    Setting(
        name="LAKE_AUDIT_DAYS",
        default="400",
        sentence="Days that audit rows stay in the service's database, at least 30; older ones are "
        "removed once `platform/lake_query_audit` has them in the lake, not before. 0: for ever.",
        parse=whole_int,
    ),
    Setting(
        name="LAKE_SNAPSHOT_CHECK_S",
        default="0.5",
        sentence="Age at which a dataset's version token is read again.",
        parse=positive_float,
    ),
    Setting(
        name="LAKE_SNAPSHOT_RELIST_S",
        default="300",
        sentence="Age at which a dataset is listed again for objects of foreign writers.",
        parse=positive_float,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The parsed settings; one attribute per row of `SETTINGS`."""

    ainative_internal_api_key: str = field(repr=False)
    internal_networks: tuple[Network, ...]
    trusted_proxies: tuple[Network, ...]
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    dagster_url: str
    dagster_timeout_s: float
    database_url: str = field(repr=False)
    cache_dir: str
    cache_bytes: int
    segment_bytes: int
    query_workers: int
    heavy_workers: int
    heavy_bytes: int
    heavy_after_s: float
    query_threads: int
    query_memory_bytes: int
    query_address_space_bytes: int
    query_timeout_s: float
    query_grace_s: float
    query_queue: int
    agent_concurrency: int
    result_bytes: int
    result_cache_bytes: int
    body_bytes: int
    mcp_answer_chars: int
    calls_per_cron_run: int
    calls_per_minute: int
    calls_per_minute_of_runs: int
    rate_limit_store: str = field(repr=False)
    job_timeout_s: float
    job_rows: int
    job_bytes: int
    job_ttl_s: float
    job_concurrency: int
    jobs_per_agent: int
    job_retries: int
    export_access_key: str = field(repr=False)
    export_secret_key: str = field(repr=False)
    export_url: str
    export_link_s: int
    export_timeout_s: float
    export_rows: int
    export_bytes: int
    export_ttl_s: float
    artifact_bytes: int
    artifact_quota_bytes: int
    artifacts_per_agent: int
    log_sql: bool
    audit_days: int
    snapshot_check_s: float
    snapshot_relist_s: float

    @classmethod
    def from_mapping(cls, env: Mapping[str, str]) -> "Settings":
        """Settings from environment-like text; what is missing or blank takes its default.

        Raises:
            SettingsError: a value can't be read.
        """
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            values[setting.attribute] = setting.read(env)
        settings = cls(**values)
        if settings.query_timeout_s > 55:
            raise SettingsError("LAKE_QUERY_TIMEOUT_S: must be at most 55")
        if settings.export_link_s > 604_800:
            raise SettingsError("LAKE_EXPORT_LINK_S: must be at most 604800")
        if settings.audit_days and not 30 <= settings.audit_days <= 36_500:
            raise SettingsError("LAKE_AUDIT_DAYS: must be at least 30 and at most 36500, or 0")
        if bool(settings.export_access_key) != bool(settings.export_secret_key):
            raise SettingsError("LAKE_EXPORT_ACCESS_KEY: must be set with LAKE_EXPORT_SECRET_KEY")
        return settings

    @property
    def cache_path(self) -> Path:
        """The directory of the object cache."""
        return Path(self.cache_dir or Path(tempfile.gettempdir()) / "lake-object-cache")


def all_names() -> tuple[str, ...]:
    """The name of every setting that begins with `LAKE_`, and of the service's others."""
    return tuple(setting.name for setting in (*SETTINGS, *LAKE_SETTINGS))


def check_environment(env: Mapping[str, str]) -> Settings:
    """The settings of an environment in which every name is known and every value is usable.

    Raises:
        SettingsError: a name is unknown, or a value is not what its setting takes.
    """
    check_names(env, all_names())
    check_lake_settings(env)
    return Settings.from_mapping(env)
