"""Signed URLs of S3: AWS Signature Version 4 in the query string.

Belongs here: the signature. Does not belong here: sending anything.

One kind of signature serves both: links that are handed out, and the calls that the uploads are
made of (no library at hand signs these without loading a whole SDK).
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from lake_assets.catalog import LakeLocation

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed_url(
    location: LakeLocation,
    method: str,
    key: str,
    *,
    expires_s: int,
    query: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> str:
    """A URL that may be used until it expires, by whoever has it, and for this call only.

    Args:
        location: The bucket, and whose key signs.
        method: The HTTP method.
        key: The object.
        expires_s: Seconds that it is good for.
        query: Further parameters of the call.
        now: When it is signed; the current time when left out.
    """
    moment = (now or datetime.now(tz=UTC)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{location.region}/s3/aws4_request"
    host = urlsplit(location.endpoint).netloc
    path = f"/{location.bucket}/{quote(key, safe='/-_.~')}"
    parameters = {
        **(query or {}),
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{location.access_key}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
    }
    encoded = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(parameters.items())
    )
    canonical = "\n".join((method, path, encoded, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join((_ALGORITHM, moment, scope, digest))
    secret = f"AWS4{location.secret_key}".encode()
    for part in (moment[:8], location.region, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
    return f"{location.endpoint}{path}?{encoded}&X-Amz-Signature={signature}"
