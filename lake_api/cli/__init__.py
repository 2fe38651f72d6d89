"""The `lake` command.

Belongs here: what a person or a script types, and what they get to see.
Does not belong here: the parts themselves (`stack`), the rules of queries and tasks (the service
decides; this package asks it over HTTP like everybody else).
"""

from lake_api.cli.commands import main

__all__ = ["main"]
