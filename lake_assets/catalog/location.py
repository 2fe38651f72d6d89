"""Where the lake is: endpoint, bucket and credentials, read from a mapping of settings.

Belongs here: turning the `MINIO_*` settings into one value that both halves understand.
Does not belong here: opening connections; reading `os.environ` by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lake_assets.catalog.layout import BUCKET
from lake_assets.catalog.settings import SettingsError, read_lake_setting, switch


class LocationError(SettingsError):
    """A setting of the lake's location is missing or can't be read; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeLocation:
    """An S3 endpoint with one identity. `endpoint` is a URL with scheme, without a path."""

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    bucket: str = BUCKET

    @property
    def is_plain_http(self) -> bool:
        """Whether the endpoint is reached without TLS."""
        return self.endpoint.startswith("http://")

    @classmethod
    def from_mapping(cls, env: Mapping[str, str], *, reader: bool = False) -> "LakeLocation":
        """The location that the settings name.

        `MINIO_URL` wins over `MINIO_ENDPOINT` (host:port, scheme by `MINIO_SECURE`). With
        `reader`, the identity is `LAKE_READER_ACCESS_KEY` with `LAKE_READER_SECRET_KEY`: the read
        side holds a key that may only get and list. The writer's takes its place only where
        `LAKE_ALLOW_WRITER_KEY` is on.

        Raises:
            LocationError: the endpoint or a key is missing, or the endpoint is no URL.
        """
        endpoint = env.get("MINIO_URL", "").strip() or env.get("MINIO_ENDPOINT", "").strip()
        if not endpoint:
            raise LocationError("set MINIO_URL (or MINIO_ENDPOINT) to the S3 endpoint of the lake")
        if "://" not in endpoint:
            endpoint = f"{'https' if _is_secure(env) else 'http'}://{endpoint}"
        name = "MINIO_URL" if env.get("MINIO_URL", "").strip() else "MINIO_ENDPOINT"
        try:
            parts = urlsplit(endpoint)
            is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
            _ = parts.port
        except ValueError as error:
            raise LocationError(f"{name}: must be like https://host:port") from error
        if not is_url or "@" in parts.netloc or parts.path.strip("/") or parts.query:
            raise LocationError(f"{name}: must be like https://host:port")
        access_key, secret_key = _keys(env, reader=reader)
        return cls(
            endpoint=f"{parts.scheme}://{parts.netloc}",
            access_key=access_key,
            secret_key=secret_key,
            region=env.get("MINIO_REGION", "").strip() or "us-east-1",
            bucket=env.get("LAKE_BUCKET", "").strip() or BUCKET,
        )


def _is_secure(env: Mapping[str, str]) -> bool:
    text = env.get("MINIO_SECURE", "").strip()
    try:
        return switch(text or "off")
    except ValueError as error:
        raise LocationError(f"MINIO_SECURE: {error}, not {text[:60]!r}") from error


def _keys(env: Mapping[str, str], *, reader: bool) -> tuple[str, str]:
    if reader:
        keys = env.get("LAKE_READER_ACCESS_KEY", ""), env.get("LAKE_READER_SECRET_KEY", "")
        if all(keys):
            return keys
        if any(keys):
            raise LocationError(
                "LAKE_READER_ACCESS_KEY: must be set with LAKE_READER_SECRET_KEY, and it with that"
            )
        if not read_lake_setting("LAKE_ALLOW_WRITER_KEY", env):
            raise LocationError(
                "LAKE_READER_ACCESS_KEY: the query service needs an S3 identity that may only get "
                "and list; set it with LAKE_READER_SECRET_KEY, or set LAKE_ALLOW_WRITER_KEY=on to "
                "let the service hold the key in MINIO_ACCESS_KEY"
            )
    access_key, secret_key = env.get("MINIO_ACCESS_KEY", ""), env.get("MINIO_SECRET_KEY", "")
    if not (access_key and secret_key):
        raise LocationError("set MINIO_ACCESS_KEY and MINIO_SECRET_KEY")
    return access_key, secret_key
