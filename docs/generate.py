"""Write the references in this folder from the code: `python -m docs.generate`, or `--check` whether they are stale.

`configuration.md`, `errors.md`, `lifecycle.md`, `facts.md` and `doctor.md` are made here and never edited by hand.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dockd import errors
from dockd.config.central import CentralConfig
from dockd.config.dock import DockConfig
from dockd.config.environment import settable_names
from dockd.config.mistakes import models_in
from dockd.config.toml_text import default_of, toml_value
from dockd.dock import doctor
from dockd.dock.doctor import finding
from dockd.errors import DockdError, Reaction
from dockd.model import facts
from dockd.rules import lifecycle
from dockd.rules.lifecycle import TRANSITIONS, Event, State

FOLDER = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Write the references, or with `--check` return 1 when one of them is stale."""
    texts = {FOLDER / name: make() for name, make in REFERENCES.items()}
    if arguments != ["--check"]:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path.name for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    if stale:
        print(f"Stale in docs/: {', '.join(stale)}. Run `make docs` and look at what changed.", file=sys.stderr)
    return 1 if stale else 0


# --- configuration ------------------------------------------------------------------------------


def configuration() -> str:
    """Every section and key, from the section classes."""
    return "\n".join(
        [
            _head(
                "Configuration", "the section classes that `dockd/config/dock.py` and `dockd/config/central.py` compose"
            ),
            "One TOML file for each dock (`/etc/dockd/dockd.toml`) and one for each centre. Unknown keys are refused.",
            "`dockd check-config FILE` (for a centre's file with `--central`) tells every mistake at once, with its",
            "line. `dockd show-config` prints what is in force, `--changed` only what differs from the defaults.",
            "",
            "Each key can be set by an environment variable too: `DOCKD_` + section + `__` + key, in capitals, for",
            "example `DOCKD_STAGING__FLOOR_BYTES=1000`. It counts before the file. Variables that name no key are",
            "refused. Names carry their unit; values are plain numbers. There are no secrets in these files, only",
            "paths to them.",
            "",
            "## A dock's file",
            "",
            *_sections(DockConfig),
            "## A centre's file",
            "",
            *_sections(CentralConfig),
        ]
    )


def _sections(config: type[BaseModel]) -> Iterator[str]:
    settable = {path for path, _ in settable_names(config).values()}
    for name, field in config.model_fields.items():
        section = next(models_in(field.annotation), None)
        if section is None:
            yield from (f"### `[{name}.<name>]`", "", field.description or "", "")
            continue
        yield from (f"### `[{name}]`", "")
        if not all((name, key) in settable for key in section.model_fields):
            yield from ("Not all of these keys can be set by the environment.", "")
        yield from ("| key | value | default | meaning |", "|---|---|---|---|")
        schema = section.model_json_schema()
        for key, key_field in section.model_fields.items():
            default = "**needed**" if key_field.is_required() else _default_words(default_of(key_field))
            kind = _kind(schema, schema["properties"][key])
            yield f"| `{key}` | {kind} | {default} | {_cell(key_field.description or '')} |"
        yield ""


def _default_words(default: object) -> str:
    return "not set" if default is None else f"`{toml_value(default)}`"


def _kind(schema: dict[str, Any], of: dict[str, Any]) -> str:
    if "$ref" in of:
        of = schema["$defs"][of["$ref"].rpartition("/")[2]]
    choices = [one for one in of.get("anyOf", of.get("allOf", [])) if one.get("type") != "null"]
    if choices:
        return " or ".join(_kind(schema, one) for one in choices)
    if "enum" in of or "const" in of:
        return ", ".join(f"`{toml_value(one)}`" for one in of.get("enum", [of.get("const")]))
    if of.get("type") == "array":
        return f"list of {_kind(schema, of.get('items', {}))}"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true`, `false`"}
    return words.get(of.get("type", ""), "value") + _limits(of)


def _limits(of: dict[str, Any]) -> str:
    low, above, high = of.get("minimum"), of.get("exclusiveMinimum"), of.get("maximum")
    words = [f"at least {low}"] if low is not None else []
    words += [f"more than {above}"] if above is not None else []
    words += [f"at most {high}"] if high is not None else []
    return "".join(f", {word}" for word in words)


# --- errors -------------------------------------------------------------------------------------


def error_table() -> str:
    """Every error class, grouped by what must happen next."""
    lines = [
        _head("Errors", "`dockd/errors.py`"),
        "Each error says what happened, what it means for the footage, and what to do. Its code is the same in the",
        "journal, on the page, in the log and over the network. What is shown here are the usual words; the place",
        "where it happened may say something more exact.",
        "",
    ]
    for reaction in Reaction:
        found = [one for one in _errors() if one.reaction is reaction]
        is_exit = reaction is Reaction.EXIT
        lines += [f"## {reaction.name}: {reaction.value}", ""]
        lines.append("| code | what happened | the footage | what to do |" + (" exit status |" if is_exit else ""))
        lines.append("|---|---|---|---|" + ("---|" if is_exit else ""))
        for one in found:
            words = [f"`{one.code}`", _first_line(one), one.footage, one.action]
            words += [str(one.exit_status)] if is_exit else []
            lines.append(f"| {' | '.join(_cell(word) for word in words)} |")
        lines.append("")
    lines += [
        "`dockd` leaves with 0 when all went well, 1 for a refusal or when something needs a person, 2 when it was",
        "called wrongly, 130 when it was interrupted.",
        "",
    ]
    return "\n".join(lines)


def _errors() -> list[type[DockdError]]:
    return [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, DockdError) and one is not DockdError
    ]


# --- life-cycle ---------------------------------------------------------------------------------


def lifecycle_diagram() -> str:
    """The table of `rules/lifecycle.py` as a diagram and in words."""
    meanings = _attribute_docs(lifecycle, "State")
    shown = [step for step in TRANSITIONS if step.event not in (Event.UNDOCKED, Event.ERROR_HOLD, Event.ERROR_RETRY)]
    lines = [
        _head("Life of a docked camera", "`dockd/rules/lifecycle.py`"),
        "A session is one camera in one bay, from arrival to departure. It is kept in memory only: whatever is cut",
        "off, the next session walks the same path and finds most of it done. Erasing is not decided here but in the",
        "custody ledger (`dockd/rules/custody.py`).",
        "",
        "The diagram leaves out, to stay readable: from every state to `gone` when the camera is taken out, and the",
        "ways into `faulted` and `held`, which the table lists.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {State.ARRIVED.value}",
        *(f"    {step.source.value} --> {step.target.value}: {_label(step.why)}" for step in shown),
        "```",
        "",
        "## States",
        "",
        "| state | meaning |",
        "|---|---|",
        *(f"| `{state.value}` | {_cell(meanings[state.name])} |" for state in State),
        "",
        "## Every allowed step",
        "",
        "| from | when | to | because |",
        "|---|---|---|---|",
        *(
            f"| `{step.source.value}` | {step.event.value} | `{step.target.value}` | {_cell(step.why)} |"
            for step in TRANSITIONS
        ),
        "",
        "Anything else is refused as a bug of our own.",
        "",
    ]
    return "\n".join(lines)


def _label(why: str) -> str:
    return why.replace(":", ",")  # a colon ends a label in Mermaid


# --- facts --------------------------------------------------------------------------------------


def fact_list() -> str:
    """Every kind of fact with its fields, and the values inside them."""
    kinds = typing.get_args(facts.Fact)
    inner: dict[str, type[BaseModel]] = {}
    for kind in (*kinds, facts.RecordedFact):
        _collect(kind, inner)
    lines = [
        _head("Facts", "`dockd/model/facts.py`"),
        "What happened, written once, never changed. Every fact stands in its dock's chain: it carries its number and",
        "the hash of the fact before it, so that nothing can be left out, put in or changed unnoticed.",
        "",
        "## A fact in its place",
        "",
        *_fields(facts.RecordedFact),
        "## What happened",
        "",
    ]
    for kind in kinds:
        lines += [f"### {kind.__name__}", "", inspect.getdoc(kind) or "", "", *_fields(kind)]
    lines += ["## Values inside facts", ""]
    for name in sorted(inner):
        lines += [f"### {name}", "", inspect.getdoc(inner[name]) or "", "", *_fields(inner[name])]
    return "\n".join(lines)


def _collect(model: type[BaseModel], found: dict[str, type[BaseModel]]) -> None:
    for field in model.model_fields.values():
        for one in models_in(field.annotation):
            if "kind" not in one.model_fields and one.__name__ not in found:
                found[one.__name__] = one
                _collect(one, found)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    names = [name for name in model.model_fields if name != "kind"]
    if not names:
        yield from ("No fields.", "")
        return
    notes = _attribute_docs(inspect.getmodule(model), model.__name__)
    yield from ("| field | type | note |", "|---|---|---|")
    for name in names:
        yield f"| `{name}` | {_type_words(model.model_fields[name].annotation)} | {_cell(notes.get(name, ''))} |"
    yield ""


def _type_words(annotation: object) -> str:
    if annotation is facts.Fact or (
        typing.get_origin(annotation) is typing.Union and len(typing.get_args(annotation)) > 4
    ):
        return "one of the facts below"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        arguments = [one for one in typing.get_args(annotation) if one is not type(None)]
        rest = " or ".join(_type_words(one) for one in arguments)
        return f"{rest}, or null" if len(arguments) < len(typing.get_args(annotation)) else rest
    if typing.get_origin(annotation) is tuple:
        return f"list of {_type_words(typing.get_args(annotation)[0])}"
    if typing.get_origin(annotation) is typing.Annotated:
        return _type_words(typing.get_args(annotation)[0])
    words = {"str": "text", "int": "whole number", "bool": "true or false", "datetime": "time (UTC)"}
    name = getattr(annotation, "__name__", str(annotation))
    return words.get(name, f"[{name}](#{name.lower()})")


# --- doctor -------------------------------------------------------------------------------------


def doctor_findings() -> str:
    """Every check of `dockd doctor` with every finding that it may tell."""
    lines = [
        _head("What `dockd doctor` may find", "the checks in `dockd/dock/doctor`"),
        "`dockd doctor [--config FILE] [--json]` looks at a dock host and says what it found, what that means for the",
        "footage, and what to do. Run it as root before the first camera is docked, and whenever something is odd. It",
        "changes nothing and does not disturb a running dock: the one thing that it writes is a small probe file in",
        "the staging folder, which it removes again.",
        "",
        "| severity | meaning |",
        "|---|---|",
        *(f"| {name} | {_cell(meaning)} |" for name, meaning in _attribute_docs(finding, "Severity").items()),
        "",
        "The exit status is 0 without a PROBLEM and 1 with any. With `--json` the codes below stand in `code`; they do",
        "not change between versions. A check that cannot be asked gives UNKNOWN with the reason and never an error;",
        "one that takes too long (a disk that hangs) does too. Checks that need the configuration are left out while",
        "that cannot be read. What is shown here are the usual words; the program names the place.",
        "",
    ]
    for area, checks in doctor.AREAS.items():
        lines += [f"## {area}", ""]
        for check in checks:
            lines += [f"### {check.question}", "", "| code | severity | when | the footage | what to do |"]
            lines += ["|---|---|---|---|---|"]
            for kind in (*check.kinds, check.unknown):
                words = [f"`{kind.code}`", kind.severity.name, kind.case, kind.footage, kind.action]
                lines.append(f"| {' | '.join(_cell(word) for word in words)} |")
            lines.append("")
    return "\n".join(lines)


# --- shared by all ------------------------------------------------------------------------------


def _head(title: str, source: str) -> str:
    return f"<!-- Generated by `make docs` from {source}; do not edit. -->\n\n# {title}\n"


def _first_line(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _attribute_docs(module: types.ModuleType | None, class_name: str) -> dict[str, str]:
    """The texts that stand under the attributes of a class in its source."""
    source = inspect.getsource(module) if module else ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return dict(_documented(node.body))
    return {}


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in itertools.pairwise(body):
        match statement, following:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, " ".join(text.split())


REFERENCES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "errors.md": error_table,
    "lifecycle.md": lifecycle_diagram,
    "facts.md": fact_list,
    "doctor.md": doctor_findings,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
