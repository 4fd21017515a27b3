"""The real dock, with a journal that kills its own process at one chosen fact.

`python -m tests.support.crashing_dock --config FILE --die before|after --fact N [--kind KIND]`

Counts the facts that this process hands to its journal (from 1), or only those of one kind. `before`:
SIGKILL falls when fact N is about to be handed in, so that it was never written; `after`: when the
transaction that holds it is durable and before anybody learns of it. Everything else is `dockd run`: the
same configuration, the same start, no hook in the program itself.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

import click

from dockd.cli.run import run
from dockd.dock import app
from dockd.dock.journal import Journal
from dockd.model.facts import Fact, RecordedFact


class CrashingJournal(Journal):
    """A journal that takes its process with it. What `doom` says holds for every journal of this process."""

    die: Literal["before", "after"]
    at_fact: int
    of_kind: str | None
    _handed_in = 0

    @classmethod
    def doom(cls, die: Literal["before", "after"], fact: int, kind: str | None) -> None:
        """Choose the fact."""
        cls.die, cls.at_fact, cls.of_kind = die, fact, kind

    async def append(self, *facts: Fact) -> tuple[RecordedFact, ...]:
        counted = sum(self.of_kind in (None, fact.kind) for fact in facts)
        is_due = self._handed_in < self.at_fact <= self._handed_in + counted
        self._handed_in += counted
        if is_due and self.die == "before":
            _die()
        written = await super().append(*facts)
        if is_due:
            _die()
        return written


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # never returns: the kernel takes the process in this very call


@click.command()
@click.option("--config", type=click.Path(path_type=Path), required=True)
@click.option("--die", type=click.Choice(["before", "after"]), required=True)
@click.option("--fact", type=click.IntRange(min=1), required=True)
@click.option("--kind")
@click.pass_context
def main(context: click.Context, config: Path, die: Literal["before", "after"], fact: int, kind: str | None) -> None:
    """Run the dock until it kills itself."""
    CrashingJournal.doom(die, fact, kind)
    app.Journal = CrashingJournal
    context.invoke(run, config_file=config)


if __name__ == "__main__":
    main()
