"""What a child process of the soak needs, made once in the process that forks it.

Dagster imports much of itself at its first run. This run starts no thread, so forking stays safe.
"""

import logging

import dagster as dg

from tests.soak.lake import instance


@dg.asset
def _nothing() -> None:
    """An asset of no meaning."""


logging.disable()
dg.materialize([_nothing], instance=instance())
