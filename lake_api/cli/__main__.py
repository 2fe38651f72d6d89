"""`python -m lake_api.cli`: the `lake` command without its script.

Belongs here: the call. Does not belong here: anything else.
"""

from lake_api.cli import main

main()
