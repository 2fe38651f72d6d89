"""How every command tells that it failed: what went wrong, and what to do.

Belongs here: the one error of the command line, and turning the errors of other folders into it.
Does not belong here: the errors that the service answers with (`client` reads those).
"""

import traceback
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


class SettingRefused(CommandFailed):
    """A setting can't be used: the exit code is that of a wrong option, and of the service."""

    exit_code = 2


class LakeGroup(click.Group):
    """A group whose commands may let the errors of the stack pass."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except StackError as error:
            raise CommandFailed(
                error.message,
                hint=error.hint or "`lake doctor` shows what helps to find out why.",
                details=error.log,
            ) from error
        except Exception as error:
            why = next(iter(str(error).splitlines()), "") or "no reason given"
            raise CommandFailed(
                f"{type(error).__name__}: {why}",
                hint="This is a fault of the lake: report it with what `lake doctor` prints.",
                details=traceback.format_exc(),
            ) from error
