"""Options that several commands take.

Belongs here: the options, and what they mean together.
Does not belong here: commands (`commands`, `asking`).
"""

from typing import Literal

import click

DAY = click.DateTime(formats=["%Y-%m-%d"])
POSITIVE = click.IntRange(min=1)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
as_csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
api_url_option = click.option(
    "--api-url",
    envvar="LAKE_API_URL",
    help="The service to ask, in place of the one that `lake up` runs [env: LAKE_API_URL].",
)


def chosen_style(*, as_json: bool, as_csv: bool) -> Literal["table", "json", "csv"]:
    """How an answer is printed.

    Raises:
        UsageError: in two ways at once.
    """
    if as_json and as_csv:
        raise click.UsageError("Choose either --json or --csv.")
    return "json" if as_json else "csv" if as_csv else "table"
