"""What a child process of the soak needs, imported once in the process that forks it.

Dagster imports much of itself at its first run. This run starts no thread, so forking stays safe.
"""

import logging

import dagster as dg

import tests.soak.lake  # noqa: F401 - for the children


@dg.asset
def _nothing() -> None:
    """An asset of no meaning."""


logging.disable()
with dg.DagsterInstance.ephemeral() as _instance:
    dg.materialize([_nothing], instance=_instance)
