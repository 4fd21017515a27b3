"""The centre's own chain of facts: who looked, who exported, what was decided and deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "centre_facts",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("about", _TEXT, nullable=False),
        sa.Column("previous", _TEXT, nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_centre_facts"),
    )
    op.create_index("ix_centre_facts_kind", "centre_facts", ["kind", "number"])
    op.create_table(
        "centre_chain",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("head", _TEXT, nullable=False),
        sa.CheckConstraint("place = 1", name="ck_centre_chain_only_one"),
        sa.PrimaryKeyConstraint("place", name="pk_centre_chain"),
    )
