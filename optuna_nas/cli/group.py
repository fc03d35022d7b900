"""The command `optuna-nas` itself: its options, and how errors end it."""

from __future__ import annotations

import errno
import faulthandler
import logging
import signal
import sys
from typing import Any, NoReturn

import click

from optuna_nas import __version__
from optuna_nas.exceptions import (
    DataError,
    DescriptionError,
    NASError,
    NotInstalledError,
    SearchStopped,
    StudyError,
)

__all__ = ["debugging", "fail", "main"]


class _Group(click.Group):
    """Ends every error the user can act on with one readable line and the right exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            fail(error, 2)
        except SearchStopped as error:
            fail(error, 1)
        except (DataError, DescriptionError, NotInstalledError, StudyError) as error:
            fail(error, 2)
        except NASError as error:
            fail(error, 1)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads the output has had enough
                raise
            fail(error, 2)
        except KeyboardInterrupt:
            click.echo("interrupted; run the same command again to go on", err=True)
            raise SystemExit(130) from None
        except Exception as error:
            from optuna_nas.study.storages.opening import failed_storage

            if (failure := failed_storage(error)) is None:
                raise
            fail(failure, 1)


def fail(error: Exception, code: int) -> NoReturn:
    """End with one readable line; with --debug, with the traceback."""
    if debugging():
        raise error
    click.echo(f"error: {_said(error)}", err=True)
    raise SystemExit(code)


def _said(error: Exception) -> str:
    if not isinstance(error, click.UsageError):
        return str(error)
    message = error.format_message().removesuffix(".")
    where = error.ctx.command_path if error.ctx is not None else "optuna-nas"
    return f"{message[0].lower()}{message[1:]}; see {where} --help"


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return bool(click.get_current_context().find_root().params.get("debug"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="optuna-nas")
@click.option("--debug", is_flag=True, help="Show tracebacks, and the logs of the libraries.")
def main(debug: bool) -> None:
    """Neural architecture search: Pareto fronts of trained networks, in Optuna studies.

    \b
    optuna-nas run studies/digits_cnn.py         start a search, or go on with it
    optuna-nas front studies/digits_cnn.py       the front found so far
    optuna-nas dashboard studies/digits_cnn.py   look at the study in the browser
    """
    if hasattr(signal, "SIGUSR1") and sys.__stderr__:  # `kill -USR1 PID` shows where a run is
        faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)
    level = logging.INFO if debug else logging.ERROR
    logging.basicConfig(level=level if debug else logging.WARNING, stream=sys.stderr)
    import optuna

    optuna.logging.set_verbosity(level)
