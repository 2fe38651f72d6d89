"""How every command tells that it failed: what went wrong, and what to do.

Belongs here: the one error of the command line, and turning the errors of other folders into it.
Does not belong here: the errors that the service answers with (`client` reads those).
"""

import os
from typing import IO, Any

import click

from lake_api.settings import SettingsError, all_names
from lake_api.stack.errors import StackError
from lake_assets.catalog.settings import check_names


class CommandFailed(click.ClickException):
    """One red line says what, the next what to do; `details` stand between them."""

    def __init__(self, message: str, *, hint: str, details: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        """Print to stderr."""
        click.secho(f"lake: {self.message}", fg="red", file=file, err=True)
        if self.details:
            click.echo(self.details, file=file, err=True)
        click.echo(f"  {self.hint}", file=file, err=True)


def require_known_settings() -> None:
    """Refuse an environment with a setting of the lake that nothing reads.

    Raises:
        CommandFailed: there is one; the message names it and the nearest that exists.
    """
    try:
        check_names(os.environ, all_names())
    except SettingsError as error:
        raise CommandFailed(str(error), hint="Unset it, or correct its name.") from error


class LakeGroup(click.Group):
    """A group whose commands may let the errors of the stack pass."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StackError as error:
            raise CommandFailed(
                error.message,
                hint=error.hint or "`lake logs PART` shows what the part said.",
                details=error.log,
            ) from error
