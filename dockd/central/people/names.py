"""What may be a person's name, password, reason or way back. Each check takes text from a form and proves its form.

Pure. Raises BadRequest in words that can be shown; a password is never repeated.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from urllib.parse import urlsplit

from dockd.errors import BadRequest

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
LONGEST_FULL_NAME = 100

NAME_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,63}$"
_NAME = re.compile(NAME_PATTERN)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
_WEAK = frozenset({"password", "passwort", "letmein", "welcome", "qwerty", "admin", "police", "dockd", "123456"})


def parse_person(text: str) -> str:
    """The name that somebody signs in with, in small letters."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{text[:80]!r} cannot be a name to sign in with: use 1 to 64 letters without accents, digits, dots, "
            "hyphens, underscores and @, beginning with a letter or digit."
        )
    return name


def parse_line(text: str, what: str, longest: int = LONGEST_FULL_NAME) -> str:
    """One line for people to read: 1 to `longest` characters, none of them a control character."""
    line = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(line) <= longest or any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in line):
        raise BadRequest(f"{what} must have 1 to {longest} characters on one line.")
    return line


def normal_password(text: str) -> str:
    """A password as it is hashed: the same whatever keyboard composed its accents (RFC 8265)."""
    return unicodedata.normalize("NFC", text)


def parse_new_password(text: str, person: str) -> str:
    """A password that may be set: long rather than odd (NIST SP 800-63B), and not the person's own name."""
    password = normal_password(text)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or "\0" in password:
        raise BadRequest(f"A password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    rest = password.lower().replace(person, "")
    for word in _WEAK:
        rest = rest.replace(word, "")
    if len(rest) < SHORTEST_PASSWORD // 2 or len(set(password)) < SHORTEST_PASSWORD // 2:
        raise BadRequest("That password is too easy to guess: take several words that have nothing to do with you.")
    return password


def new_password() -> str:
    """A password made here: 5 groups of 4, some 99 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(5))


def safe_next(text: str | None) -> str:
    """Where to go after signing in: a path of this centre's pages, else its start. Never another site."""
    if text is None or len(text) > 2_000 or not text.startswith("/") or text.startswith(("//", "/\\")):
        return "/"
    # Browsers drop tabs and line ends and read a backslash as a slash before they look where an address leads.
    if any(ord(one) < 0x21 or ord(one) == 0x7F or one == "\\" for one in text):
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.startswith(("/sign-in", "/sign-out", "/api/", "//")):
        return "/"
    return text
