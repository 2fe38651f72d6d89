"""Every dataset of the lake, one module per domain, each dataset declared once.

`GROUPS` is the order in which groups are shown; a group that is not listed comes last.
"""

GROUPS = (
    "Core Platform",
    "Platform Intelligence Layer",
    "Platform Extended",
    "Predictions",
    "Derived Metrics",
    "External Data",
    "Business App Exports",
    "Chatwoot",
)
