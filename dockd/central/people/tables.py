"""The tables of people: accounts, sessions, tokens, attempts to sign in. Nothing here creates or changes a schema.

No secret is kept as it is: passwords as argon2id, the tokens of sessions and scripts as SHA-256 of 32 random bytes.
A person is never deleted, because facts go on naming them, and a name is never given to another.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, UniqueConstraint

from dockd.central.tables import METADATA
from dockd.columns import UtcText

people = Table(
    "people",
    METADATA,
    Column("person", Text, primary_key=True),  # the name to sign in with, small letters
    Column("full_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("site", Text),  # for the roles that are bound to one
    Column("password_hash", Text),  # none: signs in at the identity provider
    Column("must_change_password", Boolean, nullable=False),
    Column("issuer", Text),  # of the identity provider, with the subject
    Column("subject", Text),
    Column("is_disabled", Boolean, nullable=False),
    Column("created_at", UtcText, nullable=False),
    Column("changed_at", UtcText, nullable=False),
    Column("signed_in_at", UtcText),
    UniqueConstraint("issuer", "subject", name="uq_people_issuer"),
)

people_sessions = Table(
    "people_sessions",
    METADATA,
    Column("token_hash", Text, primary_key=True),
    Column("session", Text, nullable=False),  # what the pages call it; tells nothing of the token
    Column("person", Text, nullable=False),
    Column("began_at", UtcText, nullable=False),
    Column("seen_at", UtcText, nullable=False),
    Column("address", Text, nullable=False),
    Column("browser", Text, nullable=False),
    Column("way", Text, nullable=False),  # password, oidc
    Column("ended_at", UtcText),
    UniqueConstraint("session", name="uq_people_sessions_session"),
    Index("ix_people_sessions_person", "person", "began_at"),
    Index("ix_people_sessions_seen_at", "seen_at"),
)

people_tokens = Table(
    "people_tokens",
    METADATA,
    Column("token_hash", Text, primary_key=True),
    Column("token", Text, nullable=False),  # what the pages call it
    Column("person", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("made_at", UtcText, nullable=False),
    Column("expires_at", UtcText, nullable=False),
    Column("used_at", UtcText),
    Column("revoked_at", UtcText),
    UniqueConstraint("token", name="uq_people_tokens_token"),
    Index("ix_people_tokens_person", "person", "made_at"),
)

known_browsers = Table(
    "known_browsers",
    METADATA,
    Column("token_hash", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("known_since", UtcText, nullable=False),
    Index("ix_known_browsers_person", "person"),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    METADATA,
    Column("about", Text, primary_key=True),  # a hash: what is typed as a name may be a password
    Column("failures", Integer, nullable=False),
    Column("since", UtcText, nullable=False),  # when the first of them was
    Column("locked_until", UtcText),
    Index("ix_sign_in_attempts_since", "since"),
)

oidc_attempts = Table(
    "oidc_attempts",
    METADATA,
    Column("state_hash", Text, primary_key=True),
    Column("visit_hash", Text, nullable=False),  # the browser that began
    Column("nonce", Text, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("next", Text, nullable=False),
    Column("began_at", UtcText, nullable=False),
    Index("ix_oidc_attempts_began_at", "began_at"),
)
