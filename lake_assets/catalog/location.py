"""Where the lake is: endpoint, bucket and credentials, read from a mapping of settings.

Belongs here: turning the `MINIO_*` settings into one value that both halves understand.
Does not belong here: opening connections; reading `os.environ` by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lake_assets.catalog.layout import BUCKET


class LocationError(ValueError):
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
        `reader`, `LAKE_READER_ACCESS_KEY` and `LAKE_READER_SECRET_KEY` are used where they are
        set: the read side should hold a key that may only get and list.

        Raises:
            LocationError: the endpoint or a key is missing, or the endpoint is no URL.
        """
        secure = env.get("MINIO_SECURE", "").strip().lower() in {"1", "true", "yes", "on"}
        endpoint = env.get("MINIO_URL", "").strip() or env.get("MINIO_ENDPOINT", "").strip()
        if not endpoint:
            raise LocationError("set MINIO_URL (or MINIO_ENDPOINT) to the S3 endpoint of the lake")
        if "://" not in endpoint:
            endpoint = f"{'https' if secure else 'http'}://{endpoint}"
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise LocationError("MINIO_URL must be like https://host:port")
        access_key, secret_key = env.get("MINIO_ACCESS_KEY", ""), env.get("MINIO_SECRET_KEY", "")
        if reader and env.get("LAKE_READER_ACCESS_KEY"):
            access_key = env["LAKE_READER_ACCESS_KEY"]
            secret_key = env.get("LAKE_READER_SECRET_KEY", "")
        if not (access_key and secret_key):
            raise LocationError("set MINIO_ACCESS_KEY and MINIO_SECRET_KEY")
        return cls(
            endpoint=f"{parts.scheme}://{parts.netloc}",
            access_key=access_key,
            secret_key=secret_key,
            region=env.get("MINIO_REGION", "").strip() or "us-east-1",
            bucket=env.get("LAKE_BUCKET", "").strip() or BUCKET,
        )
