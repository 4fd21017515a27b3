"""Claims about the command line as a whole."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dockd import __version__, cli
from dockd.cli import VERBS, exit_status_of
from dockd.cli.central import CENTRAL_VERBS
from dockd.cli.verbs import Verb
from dockd.errors import JournalLocked, StagingBelowFloor

HEAVY = ("aiohttp", "sqlalchemy", "pydantic", "rich", "cryptography", "pyudev", "alembic")


def test_help_lists_every_verb_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["--help"]) == 0
    out = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"  {name} " in out
        assert verb.summary.endswith(".")
        assert verb.summary[:40] in out


def printed(script: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def help_without_anything_heavy(*verbs: str) -> str:
    """The help of a command, asked for in a process that must load nothing heavy for it."""
    out = printed(
        f"import sys; from dockd.cli import exit_status_of; exit_status_of([*{verbs}, '--help']);"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    assert out.splitlines()[-1] == "heavy: []"
    return out


def test_help_imports_nothing_heavy() -> None:
    help_without_anything_heavy()


@pytest.mark.parametrize("verb", [*VERBS.values(), *CENTRAL_VERBS.values()], ids=lambda verb: verb.target)
def test_every_verb_lives_where_the_table_says(verb: Verb) -> None:
    module, _, attribute = verb.target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None
    assert f"def {attribute}(" in Path(spec.origin).read_text(encoding="utf-8")


def test_a_mistyped_verb_is_shown_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["stauts"]) == 2
    assert "Did you mean 'status'?" in capsys.readouterr().err
    assert exit_status_of(["central", "invit"]) == 2
    assert "Did you mean 'invite'?" in capsys.readouterr().err


def test_help_of_the_centres_commands_imports_nothing_heavy_and_lists_them_all() -> None:
    out = help_without_anything_heavy("central")
    for name, verb in CENTRAL_VERBS.items():
        assert re.search(rf"^  {name} +{re.escape(verb.summary[:30])}", out, re.MULTILINE), name


def test_commands_for_an_administrator_of_the_centre_load_neither_pages_nor_api() -> None:
    out = printed(
        "import sys, dockd.cli.central_docks, dockd.cli.central_import, dockd.cli.central_people;"
        "import dockd.cli.central_retention, dockd.cli.central_setup;"
        "print([name for name in sys.modules if name.startswith(('dockd.central.pages', 'dockd.central.api.routes'))])"
    )
    assert out.splitlines()[-1] == "[]"


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def _verb_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(cli, "failing", failing, raising=False)
    monkeypatch.setitem(VERBS, "failing", Verb("dockd.cli:failing", "Fails."))


def test_an_error_of_ours_is_three_sentences_and_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _verb_that_raises(monkeypatch, JournalLocked("Another dockd has the journal."))
    assert exit_status_of(["failing"]) == JournalLocked.exit_status
    assert capsys.readouterr().err.splitlines() == [
        "Another dockd has the journal.",
        JournalLocked.footage,
        JournalLocked.action,
    ]


def test_errors_of_ours_out_of_a_task_group_are_told_in_words_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = ExceptionGroup("inner", [StagingBelowFloor("Only 5 bytes are free.")])
    _verb_that_raises(monkeypatch, ExceptionGroup("outer", [inner]))
    assert exit_status_of(["failing"]) == StagingBelowFloor.exit_status
    assert "Only 5 bytes are free." in capsys.readouterr().err


def test_a_bug_among_our_errors_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _verb_that_raises(monkeypatch, ExceptionGroup("both", [StagingBelowFloor("x"), KeyError("bug")]))
    with pytest.raises(ExceptionGroup):
        exit_status_of(["failing"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()], ids=["ctrl-c", "cancelled"])
def test_only_an_interrupt_by_a_person_is_quiet(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    _verb_that_raises(monkeypatch, error)
    if isinstance(error, KeyboardInterrupt):
        assert exit_status_of(["failing"]) == 130
    else:
        with pytest.raises(asyncio.CancelledError):
            exit_status_of(["failing"])
