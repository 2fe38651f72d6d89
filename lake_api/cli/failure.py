"""How every command tells that it failed: what went wrong, and what to do.

Belongs here: the one error of the command line, and turning the errors of other folders into it.
Does not belong here: the errors that the service answers with (`client` reads those).
"""

from typing import IO, Any

import click

from lake_api.stack.errors import StackError


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
