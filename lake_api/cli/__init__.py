"""The `lake` command.

Belongs here: what a person or a script types, and what they get to see.
Does not belong here: the parts themselves (`stack`), the rules of queries and tasks (the service
decides; this package asks it over HTTP like everybody else).
"""


def main() -> None:
    """Run the command of this process."""
    from lake_api.stack.environment import prepare_process  # noqa: PLC0415 - before all others

    prepare_process()
    from lake_api.cli.commands import main as lake  # noqa: PLC0415 - in the prepared process

    lake(prog_name="lake")
