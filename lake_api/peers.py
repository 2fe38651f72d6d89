"""Who is at the other end of a connection: a peer itself, or a proxy that speaks for it.

Belongs here: signs of a proxy, and the client's address and URL behind trusted ones.
Does not belong here: what a peer may do (`identity`).

Internal standing comes from the address of the socket alone, and is lost by any sign of a proxy:
behind one, every peer looks internal. A proxy that leaves no sign can't be seen from here, so its
address must be in `LAKE_TRUSTED_PROXIES`; a request from such an address is never internal. Headers
that name a client are believed from those addresses only, and name a peer for limits, nothing more.
"""

import ipaddress
import re
from typing import Any

from litestar.connection import ASGIConnection

from lake_api.settings import Network, Settings

_MOST_HOPS = 32
_FOR = re.compile(r'(?:^|[;\s])for="?(?P<address>\[[^\]]*\]|[^";:,\s]*)', re.IGNORECASE)
_PROTO = re.compile(r'(?:^|[;\s])proto="?(?P<scheme>[a-z]+)', re.IGNORECASE)
_SCHEMES = frozenset({"http", "https"})
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})

PROXY_HEADERS = frozenset(
    {
        "akamai-origin-hop",
        "ali-cdn-real-ip",
        "cdn-loop",
        "cdn-src-ip",
        "client-cert",
        "client-cert-chain",
        "client-ip",
        "disguised-host",
        "do-connecting-ip",
        "eagleid",
        "early-data",
        "front-end-https",
        "host-forwarded",
        "incap-client-ip",
        "max-forwards",
        "proxy-client-ip",
        "proxy-connection",
        "real-ip",
        "remote-addr",
        "remote-email",
        "remote-groups",
        "remote-name",
        "remote-user",
        "rndr-id",
        "section-io-id",
        "surrogate-capability",
        "true-client-ip",
        "via",
        "wl-proxy-client-ip",
        "wl-proxy-ssl",
        "x-accel-internal",
        "x-anonymous-consumer",
        "x-arr-log-id",
        "x-arr-ssl",
        "x-authenticated-userid",
        "x-backend",
        "x-backend-server",
        "x-bluecoat-via",
        "x-client-addr",
        "x-client-address",
        "x-client-cert",
        "x-client-ip",
        "x-client-verify",
        "x-cloud-trace-context",
        "x-cluster-client-ip",
        "x-coming-from",
        "x-credential-identifier",
        "x-forward-for",
        "x-forward-proto",
        "x-host",
        "x-http-destinationurl",
        "x-http-host-override",
        "x-id-token",
        "x-iinfo",
        "x-lb",
        "x-middleton",
        "x-origin-forwarded-for",
        "x-port",
        "x-proxied-by",
        "x-real-host",
        "x-real-ip",
        "x-real-port",
        "x-real-proto",
        "x-remote-addr",
        "x-remote-ip",
        "x-remote-user",
        "x-request-start",
        "x-rewrite-url",
        "x-scheme",
        "x-served-by",
        "x-sucuri-clientip",
        "x-sucuri-country",
        "x-true-client-ip",
        "x-true-ip",
        "x-tunnel-authorization",
        "x-url-scheme",
        "x-userinfo",
        "x-webauth-user",
        "zscaler",
    }
)
PROXY_PREFIXES = (
    "cf-",
    "fastly-",
    "fly-",
    "forwarded",
    "l5d-",
    "ngrok-",
    "tailscale-",
    "teleport-",
    "x-akamai-",
    "x-amz-cf-",
    "x-amzn-",
    "x-apigee-",
    "x-appengine-",
    "x-appservice-",
    "x-auth-request-",
    "x-authentik-",
    "x-azure-",
    "x-cache",
    "x-cdn",
    "x-client-cert-",
    "x-consumer-",
    "x-country-",
    "x-devtunnels",
    "x-edge-",
    "x-envoy-",
    "x-forwarded",
    "x-forwarder",
    "x-gateway",
    "x-geo-",
    "x-gitpod",
    "x-goog-",
    "x-haproxy-",
    "x-heroku-",
    "x-istio-",
    "x-kong-",
    "x-ms-proxy",
    "x-nf-",
    "x-nginx",
    "x-original-",
    "x-pomerium-",
    "x-proxy",
    "x-proxyuser-",
    "x-railway-",
    "x-serverless-",
    "x-squid",
    "x-ssl-",
    "x-traefik-",
    "x-tyk-",
    "x-varnish",
    "x-vercel-",
    "x-waws-",
    "x-zscaler-",
)
"""Headers that proxies, load balancers, CDNs and their authenticating kind add, `-` for `_`.

Those of tracing (`traceparent`, `x-b3-`) are not among them: libraries inside of agents send them.
"""

Connection = ASGIConnection[Any, Any, Any, Any]


def is_internal(connection: Connection, settings: Settings) -> bool:
    """Whether the peer is inside the internal networks and speaks for itself."""
    address = _address(connection.client.host) if connection.client else None
    if address is None or not _is_in(address, settings.internal_networks):
        return False
    return not (_is_in(address, settings.trusted_proxies) or _has_sign_of_proxy(connection))


def client_address(connection: Connection, settings: Settings) -> str:
    """The address that limits count by: the peer's, or the one that a trusted proxy names.

    A name that is no address, and none at all, leave the proxy's own.
    """
    peer = connection.client.host if connection.client else ""
    found = _address(peer)
    for text in _named_clients(connection):
        if found is None or not _is_in(found, settings.trusted_proxies):
            break
        found = _address(text) or found
    return str(found or peer)


def own_url(connection: Connection, settings: Settings) -> str:
    """Scheme and host by which the caller reaches this service.

    Behind a trusted proxy the scheme is the one that the proxy names: of several the first, which
    is the client's own.
    """
    scheme = str(connection.scope.get("scheme", "http"))
    peer = _address(connection.client.host) if connection.client else None
    if peer is not None and _is_in(peer, settings.trusted_proxies):
        listed = connection.headers.get("x-forwarded-proto", "")
        if not listed:
            found = _PROTO.search(connection.headers.get("forwarded", "").partition(",")[0])
            listed = found["scheme"] if found else ""
        named = listed.partition(",")[0].strip().lower()
        scheme = named if named in _SCHEMES else scheme
    return f"{scheme}://{connection.headers.get('host', '')}"


def _has_sign_of_proxy(connection: Connection) -> bool:
    # Gateways that know environment variables only take `_` for `-`.
    names = {name.lower().replace("_", "-") for name in connection.headers}
    if names & PROXY_HEADERS or any(name.startswith(PROXY_PREFIXES) for name in names):
        return True
    if connection.scope.get("http_version") == "1.0":
        # Programs speak HTTP/1.1 since decades; nginx speaks 1.0 to what is behind it.
        return True
    host = connection.client.host if connection.client else ""
    address = _address(host)
    return address is not None and address.is_loopback and not _names_loopback(connection)


def _names_loopback(connection: Connection) -> bool:
    """Whether Host is what a program on this machine calls it: a proxy passes another name on."""
    text = connection.headers.get("host", "")
    name = text.rpartition(":")[0] if re.search(r":\d*$", text) else text
    name = name.strip("[]").lower().rstrip(".")
    address = _address(name)
    if address is not None:
        return address.is_loopback
    return name in _LOOPBACK_NAMES or name.endswith(".localhost")


def _named_clients(connection: Connection) -> list[str]:
    """The addresses that proxies say they had a request from, the nearest first."""
    listed = ",".join(connection.headers.getall("x-forwarded-for", []))
    if not listed:
        elements = ",".join(connection.headers.getall("forwarded", [])).split(",")
        matches = [_FOR.search(element) for element in elements]
        listed = ",".join(match["address"] if match else "" for match in matches)
    return [part.strip() for part in reversed(listed.split(",")) if part.strip()][:_MOST_HOPS]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.partition("%")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: tuple[Network, ...]
) -> bool:
    return any(address in network for network in networks)
