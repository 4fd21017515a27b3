"""Which docks may come in: tokens that were given out, certificates that were issued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "enrolment_tokens",
        sa.Column("token_hash", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=False),
        sa.Column("dock", _TEXT, nullable=True),
        sa.Column("created_at", _TEXT, nullable=False),
        sa.Column("expires_at", _TEXT, nullable=False),
        sa.Column("used_at", _TEXT, nullable=True),
        sa.Column("used_by", _TEXT, nullable=True),
        sa.Column("used_key", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name="pk_enrolment_tokens"),
    )
    op.create_index("ix_enrolment_tokens_dock", "enrolment_tokens", ["dock"])
    op.create_table(
        "dock_certificates",
        sa.Column("fingerprint", _TEXT, nullable=False),
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=False),
        sa.Column("key_digest", _TEXT, nullable=False),
        sa.Column("certificate", _TEXT, nullable=False),
        sa.Column("issued_at", _TEXT, nullable=False),
        sa.Column("expires_at", _TEXT, nullable=False),
        sa.Column("revoked_at", _TEXT, nullable=True),
        sa.Column("revoked_because", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_dock_certificates"),
        sa.UniqueConstraint("key_digest", name="uq_dock_certificates_key_digest"),
    )
    op.create_index("ix_dock_certificates_dock", "dock_certificates", ["dock", "issued_at"])
