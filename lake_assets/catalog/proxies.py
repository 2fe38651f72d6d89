"""Which proxy the environment names for an address.

Belongs here: reading `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in both spellings,
for clients that do not do it by themselves, or would read more than that (`.netrc`).
Does not belong here: keeping loopback out of it (`lake_api.stack.environment`).
"""

from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The proxy for requests to `url`, or None where they go straight."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies_environment()
    return proxies.get(parts.scheme) or proxies.get("all") or None
