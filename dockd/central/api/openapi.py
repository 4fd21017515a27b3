"""The OpenAPI 3.1 description, made from the routes and the pydantic models. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dockd.central.api.route import Answer, ApiValue, BytesBody, JsonBody, Route
from dockd.web.problems import GENERAL_KINDS, ProblemKind
from dockd.wire.problems import CONTENT_TYPE, Problem

Schema = dict[str, Any]
_UTC_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
_REFERENCE = "#/components/schemas/{model}"
_Mode = Literal["validation", "serialization"]
_References = Mapping[tuple[Any, _Mode], Schema]


def describe(routes: Sequence[Route], *, title: str, version: str) -> Schema:
    """Return the document. Every route is in it, with its bodies, answers and problem codes."""
    wanted: list[tuple[type[BaseModel], _Mode]] = [(Problem, "serialization")]
    for route in routes:
        if isinstance(route.body, JsonBody):
            wanted.append((route.body.model, "validation"))
        wanted += [(answer.model, "serialization") for answer in route.answers if answer.model]
    references, definitions = models_json_schema(wanted, ref_template=_REFERENCE)
    schemas = definitions.get("$defs", {})
    _say_times(schemas)
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": "What docks and people may ask of the centre. 4xx: never as it is; "
            "408, 503 and 507: later. Problems are told apart by their `code`.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "responses": {"Problem": _problem_answer(GENERAL_KINDS)}},
    }


def _operation(route: Route, references: _References) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [
            *_parameters("path", route.path_values),
            *_parameters("query", route.query),
            *_parameters("header", route.headers),
        ],
        "responses": {str(one.status): _answer(one, references) for one in route.answers},
    }
    if isinstance(route.body, JsonBody):
        schema = references[route.body.model, "validation"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif isinstance(route.body, BytesBody):
        content: Schema = {name: {"schema": {}} for name in route.body.content_types}
        operation["requestBody"] = {"required": True, "content": content}
    for status in sorted({kind.status for kind in route.problems}):
        operation["responses"][str(status)] = _problem_answer(one for one in route.problems if one.status == status)
    operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
    return operation


def _parameters(place: str, values: dict[str, Any]) -> list[Schema]:
    return [_parameter(place, name, value) for name, value in values.items()]


def _parameter(place: str, name: str, value: ApiValue) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": place != "query" or value.is_required,
        "description": value.meaning,
        "schema": value.schema(),
    }


def _answer(answer: Answer, references: _References) -> Schema:
    described: Schema = {"description": answer.meaning}
    if answer.model is not None:
        described["content"] = {"application/json": {"schema": references[answer.model, "serialization"]}}
    elif answer.content_type is not None:
        described["content"] = {answer.content_type: {"schema": {}}}
    return described


def _problem_answer(kinds: Iterable[ProblemKind]) -> Schema:
    return {
        "description": "\n".join(f"- `{kind.code}`: {kind.meaning}" for kind in kinds),
        "content": {CONTENT_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
    }


def _say_times(schema: Any) -> None:
    """A time on the wire has exactly one form (`model.moment`), narrower than `date-time`; say so everywhere."""
    if isinstance(schema, dict):
        if schema.get("format") == "date-time":
            schema["pattern"] = _UTC_PATTERN
        for inner in schema.values():
            _say_times(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _say_times(inner)
