"""Reads the form that a browser sent, once for all who look at it. Knows HTTP; must not know any page."""

from __future__ import annotations

import asyncio

from aiohttp import web

from dockd.errors import BadRequest
from dockd.web.problems import CUT_OFF, TOO_LARGE, TOO_SLOW, WRONG_CONTENT_TYPE, Refusal, require_content_type

LARGEST_FORM_BYTES = 64 * 1024

_FORM_TYPES = ("application/x-www-form-urlencoded",)
_PATIENCE_SECONDS = 15.0
_MOST_FIELDS = 100


async def read_form(request: web.Request) -> dict[str, str]:
    """The form's fields, each given once. Whoever asks again gets the same.

    Raises Refusal (408, 413, 415, 400 `cut-off`), BadRequest. Nothing was changed then.
    """
    require_content_type(request, _FORM_TYPES)
    if (request.charset or "utf-8").lower() != "utf-8":
        raise Refusal(WRONG_CONTENT_TYPE, "A form must be in UTF-8.")
    if request.content_length is not None and request.content_length > LARGEST_FORM_BYTES:
        raise Refusal(TOO_LARGE, f"The form is larger than {LARGEST_FORM_BYTES} bytes.")
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            given = await request.post()
    except TimeoutError:
        raise Refusal(TOO_SLOW, "The form did not arrive in time. Nothing was changed.") from None
    except web.HTTPRequestEntityTooLarge:  # a body of no announced length
        raise Refusal(TOO_LARGE, f"The form is larger than {LARGEST_FORM_BYTES} bytes.") from None
    except (ConnectionError, web.RequestPayloadError):
        raise Refusal(CUT_OFF, "The connection ended within the form. Nothing was changed.") from None
    except ValueError:
        raise BadRequest("The form is not text in UTF-8.") from None
    fields: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(value, str) or name in fields or len(fields) == _MOST_FIELDS:
            raise BadRequest("A field of the form comes twice, or there are too many.")
        fields[name] = value
    return fields
