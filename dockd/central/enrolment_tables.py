"""Tables of enrolment: tokens that were given out, certificates that were issued. Knows no rule about them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint

from dockd.central.tables import METADATA
from dockd.columns import UtcText

enrolment_tokens = Table(
    "enrolment_tokens",
    METADATA,
    Column("token_hash", Text, primary_key=True),  # the token itself is nowhere at the centre
    Column("site", Text, nullable=False),
    Column("dock", Text),  # the only dock it may enrol
    Column("created_at", UtcText, nullable=False),
    Column("expires_at", UtcText, nullable=False),
    Column("used_at", UtcText),
    Column("used_by", Text),  # the dock that it enrolled
    Column("used_key", Text),  # SHA-256 of that dock's public key: it alone may ask again
    Index("ix_enrolment_tokens_dock", "dock"),
)

dock_certificates = Table(
    "dock_certificates",
    METADATA,
    Column("fingerprint", Text, primary_key=True),  # SHA-256 of the DER form
    Column("dock", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("key_digest", Text, nullable=False),  # one certificate for a key: asking again gives the same
    Column("certificate", Text, nullable=False),  # PEM
    Column("issued_at", UtcText, nullable=False),
    Column("expires_at", UtcText, nullable=False),
    Column("revoked_at", UtcText),
    Column("revoked_because", Text),
    UniqueConstraint("key_digest", name="uq_dock_certificates_key_digest"),
    Index("ix_dock_certificates_dock", "dock", "issued_at"),
)
