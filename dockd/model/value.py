"""The base of every value that may be written to a fact, sent over the wire or signed."""

from __future__ import annotations

import re
from typing import Annotated, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

from dockd.model.canonical import Json
from dockd.model.ids import DIGEST_PATTERN, ID_PATTERN, OFFICER_PATTERN


class Value(BaseModel):
    """Immutable, strict (no `false` for 0), unknown fields refused."""

    # What checks them is built at the first use of each class: a program that starts needs few of them. Several threads
    # may be the first; pydantic builds under a lock since 2.14 (its pull request 13438).
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)

    def to_json(self) -> Json:
        """As plain JSON values: times as text, enumerations as their value, no floats by convention."""
        return cast(Json, self.model_dump(mode="json"))


IdText = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
DigestText = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)]
OfficerText = Annotated[str, StringConstraints(pattern=OFFICER_PATTERN)]
CameraText = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}:[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=16384, pattern=r"^[A-Za-z0-9._\-%/ ]+$")]
ShortText = Annotated[str, StringConstraints(max_length=200)]
LongText = Annotated[str, StringConstraints(max_length=4000)]

_EXACT_INTEGER = r"^-?[0-9]{1,20}$"


def _integer_of(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch(_EXACT_INTEGER, value) else value


ExactInteger = Annotated[
    int,
    BeforeValidator(_integer_of),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _EXACT_INTEGER}),
]
"""A whole number that may pass 2**53: decimal text in JSON, because public tools (jq 1.6) round such numbers."""
