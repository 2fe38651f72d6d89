"""What each outside source needs from the environment, as one table of data.

Belongs here: names, sentences and defaults of settings, and turning an environment into values.
Does not belong here: using them (`http`, the module of the upstream). Standard library only, so
that a command or a documentation generator can show the table without loading a client.

Every upstream can be pointed elsewhere by its `…_BASE_URL` and slowed down or sped up by its
`…_REQUESTS_PER_S`. What could not be confirmed about an upstream is a default here, not code.
"""

from lake_assets.sources.config.model import (
    SourceSetting,
    Upstream,
    listed,
    shared_settings,
)
from lake_assets.sources.config.platform import PLATFORM
from lake_assets.sources.config.public_data import (
    CDTFA,
    CENSUS,
    EDD,
    FRED,
    IRS,
    SEC,
    USASPENDING,
)
from lake_assets.sources.config.services import (
    CHATWOOT,
    DEALROOM,
    EMAIL,
    GITHUB,
    KONG,
    LUMA,
    PACKAGES,
    SLACK,
    STRIPE,
)

__all__ = [
    "CDTFA",
    "CENSUS",
    "CHATWOOT",
    "DEALROOM",
    "EDD",
    "EMAIL",
    "FRED",
    "GITHUB",
    "HTTP",
    "IRS",
    "KONG",
    "LUMA",
    "PACKAGES",
    "PLATFORM",
    "SEC",
    "SLACK",
    "STRIPE",
    "UPSTREAMS",
    "USASPENDING",
    "SourceSetting",
    "Upstream",
    "listed",
    "setting_names",
    "upstream_of",
]

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


def upstream_of(feed: str) -> Upstream | None:
    """The service that a dataset's outside source names; None where no service is declared."""
    found = (one for one in UPSTREAMS if feed in (one.feeds or (one.name,)))
    return next(found, None)


HTTP = Upstream(
    name="http",
    title="Requests to any source",
    settings=shared_settings("LAKE_HTTP_"),
)


def setting_names() -> frozenset[str]:
    """Every environment variable that belongs to a source, or to asking them."""
    groups = (*UPSTREAMS, HTTP, PLATFORM)
    return frozenset(s.name for upstream in groups for s in upstream.settings)
