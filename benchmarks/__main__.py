"""`python -m benchmarks [NAME] …`: query by default, and the names of `_MODULES`.

Belongs here: choosing the measurement.
Does not belong here: measuring (`benchmarks.query`, `benchmarks.export`, …).
"""

import importlib
import sys
from collections.abc import Sequence

_MODULES = {
    "query": "benchmarks.query.main",
    "layouts": "benchmarks.query.layouts",
    "export": "benchmarks.export",
    "export-query": "benchmarks.export_query",
    "night": "benchmarks.night",
    "history": "benchmarks.history",
    "models": "benchmarks.models.main",
}


def main(arguments: Sequence[str]) -> int:
    """Run the named measurement with the options after its name."""
    name, rest = "query", list(arguments)
    if rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    if name not in _MODULES:
        print(f"there is no measurement {name!r}; there are {', '.join(_MODULES)}", file=sys.stderr)
        return 2
    # Only what is measured is imported: the export side brings Dagster with it.
    return int(importlib.import_module(_MODULES[name]).main(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
