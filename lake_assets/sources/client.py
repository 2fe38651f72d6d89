"""The HTTP client of an upstream, as the environment asks for it.

Belongs here: from settings to a client. Does not belong here: asking with it (`http`).
"""

from collections.abc import Mapping

from lake_assets.sources import config
from lake_assets.sources.errors import NotConfigured
from lake_assets.sources.http import HttpPolicy, HttpSource
from lake_assets.sources.turns import turns_of


def http_source(upstream: config.Upstream, env: Mapping[str, str]) -> HttpSource:
    """The client that the environment asks for.

    Raises:
        NotConfigured: a setting is missing or can't be read.
    """
    settings, general = upstream.values(env), config.HTTP.values(env)
    try:
        policy = HttpPolicy(
            timeout_s=float(general["LAKE_HTTP_TIMEOUT_S"]),
            attempts=int(general["LAKE_HTTP_ATTEMPTS"]),
            max_wait_s=float(general["LAKE_HTTP_MAX_WAIT_S"]),
            requests_per_s=upstream.requests_per_s(settings),
        )
    except ValueError as error:
        raise NotConfigured(f"a setting LAKE_HTTP_… is no number: {error}") from error
    return HttpSource(
        policy=policy,
        secrets=upstream.secrets(settings),
        turns=turns_of(env),
        queue=upstream.name if upstream.one_queue else "",
    )
