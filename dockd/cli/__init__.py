"""The command line: `dockd <verb>`.

Knows the verbs and where each lives. Errors of ours become words and an exit status here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

import click

from dockd import __version__
from dockd.cli.verbs import Verb, Verbs
from dockd.errors import DockdError

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells expect."""


VERBS: dict[str, Verb] = {
    "run": Verb("dockd.cli.run:run", "Run this dock: take cameras, secure their footage, make them ready."),
    "enrol": Verb("dockd.cli.enrol:enrol", "Give this dock its identity at the centre, for a token."),
    "central": Verb("dockd.cli.central:central", "Run the centre: take footage from docks, prove it, sign receipts."),
    "demo": Verb("dockd.cli.demo:demo", "Run a centre and a dock with simulated cameras, to watch it work."),
    "status": Verb("dockd.cli.status:status", "Show what every bay of a running dock is doing."),
    "issue": Verb("dockd.cli.issue:issue", "Give an officer a camera that is ready."),
    "release": Verb("dockd.cli.issue:release", "Let a HELD bay go on, after a person has dealt with it."),
    "bays": Verb("dockd.cli.bays:bays", "Teach the dock which USB port is which bay."),
    "recordings": Verb("dockd.cli.recordings:recordings", "List, show and export recordings of the central store."),
    "custody": Verb("dockd.cli.custody:custody", "Export the account of custody: signed, checked, differences first."),
    "verify": Verb("dockd.cli.verify:verify", "Check chain, signatures and digests of an export, without any server."),
    "check-config": Verb("dockd.cli.check_config:check_config", "Say everything that is wrong in a configuration."),
    "show-config": Verb("dockd.cli.show_config:show_config", "Print the configuration in force, defaults and all."),
    "doctor": Verb("dockd.cli.doctor:doctor", "Look at this dock host and say in words what to do about each finding."),
    "drivers": Verb("dockd.cli.drivers:drivers", "List the camera drivers that are installed."),
}


@click.command(
    cls=Verbs, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="dockd")
def dockd() -> None:
    """Docking-station sync and charging service for body-worn video cameras."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status; an error of ours is told in words."""
    sys.exit(exit_status_of(arguments))


def exit_status_of(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        status = dockd.main(args=arguments, prog_name="dockd", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except DockdError as error:
        return _tell(error)
    except BaseExceptionGroup as group:
        ours = list(_errors_of_ours(group))
        if not ours:
            raise
        return max([_tell(error) for error in ours])
    return status if isinstance(status, int) else 0


def _tell(error: DockdError) -> int:
    click.echo(f"{error.what}\n{error.footage}\n{error.action}", err=True)
    return error.exit_status


def _errors_of_ours(group: BaseExceptionGroup[BaseException]) -> Iterator[DockdError]:
    """The leaves of `group`, when every one of them is ours: else it is a bug, and its traceback is wanted."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(error.exceptions))
        else:
            leaves.append(error)
    ours = [error for error in leaves if isinstance(error, DockdError)]
    if len(ours) == len(leaves):
        yield from ours
