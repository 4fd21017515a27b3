"""The object store's own tables: multipart uploads, read-backs to be done, what the canary found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_TO_DO = sa.text("outcome IS NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "multipart_uploads",
        sa.Column("upload", _TEXT, nullable=False),
        sa.Column("multipart", _TEXT, nullable=False),
        sa.Column("object_key", _TEXT, nullable=False),
        sa.Column("retain_until", _TEXT, nullable=True),
        sa.Column("began_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("upload", name="pk_multipart_uploads"),
    )
    op.create_table(
        "read_backs",
        sa.Column("object_key", _TEXT, nullable=False),
        sa.Column("object_version", _TEXT, nullable=False),
        sa.Column("bucket", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_digests", _TEXT, nullable=False),
        sa.Column("asked_at", _TEXT, nullable=False),
        sa.Column("not_before", _TEXT, nullable=False),
        sa.Column("taken_by", _TEXT, nullable=True),
        sa.Column("taken_until", _TEXT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("said", _TEXT, nullable=True),
        sa.Column("outcome", _TEXT, nullable=True),
        sa.Column("finished_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("object_key", "object_version", name="pk_read_backs"),
    )
    op.create_index(
        "ix_read_backs_to_do", "read_backs", ["asked_at"], sqlite_where=_IS_TO_DO, postgresql_where=_IS_TO_DO
    )
    op.create_table(
        "store_canaries",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("endpoint", _TEXT, nullable=False),
        sa.Column("bucket", _TEXT, nullable=False),
        sa.Column("checked_at", _TEXT, nullable=False),
        sa.Column("findings", _TEXT, nullable=False),
        sa.Column("is_trusted", sa.Boolean(), nullable=False),
        sa.Column("worse", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_store_canaries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_store_canaries_place", "store_canaries", ["endpoint", "bucket", "number"])
