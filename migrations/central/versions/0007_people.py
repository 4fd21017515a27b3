"""People: accounts, sessions, tokens for scripts, attempts to sign in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    _people()
    _proofs()
    _attempts()


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("person", _TEXT, nullable=False),
        sa.Column("full_name", _TEXT, nullable=False),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=True),
        sa.Column("password_hash", _TEXT, nullable=True),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("issuer", _TEXT, nullable=True),
        sa.Column("subject", _TEXT, nullable=True),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TEXT, nullable=False),
        sa.Column("changed_at", _TEXT, nullable=False),
        sa.Column("signed_in_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("person", name="pk_people"),
        sa.UniqueConstraint("issuer", "subject", name="uq_people_issuer"),
    )


def _proofs() -> None:
    op.create_table(
        "people_sessions",
        sa.Column("token_hash", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("person", _TEXT, nullable=False),
        sa.Column("began_at", _TEXT, nullable=False),
        sa.Column("seen_at", _TEXT, nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("browser", _TEXT, nullable=False),
        sa.Column("way", _TEXT, nullable=False),
        sa.Column("ended_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name="pk_people_sessions"),
        sa.UniqueConstraint("session", name="uq_people_sessions_session"),
    )
    op.create_index("ix_people_sessions_person", "people_sessions", ["person", "began_at"])
    op.create_index("ix_people_sessions_seen_at", "people_sessions", ["seen_at"])
    op.create_table(
        "people_tokens",
        sa.Column("token_hash", _TEXT, nullable=False),
        sa.Column("token", _TEXT, nullable=False),
        sa.Column("person", _TEXT, nullable=False),
        sa.Column("purpose", _TEXT, nullable=False),
        sa.Column("made_at", _TEXT, nullable=False),
        sa.Column("expires_at", _TEXT, nullable=False),
        sa.Column("used_at", _TEXT, nullable=True),
        sa.Column("revoked_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name="pk_people_tokens"),
        sa.UniqueConstraint("token", name="uq_people_tokens_token"),
    )
    op.create_index("ix_people_tokens_person", "people_tokens", ["person", "made_at"])
    op.create_table(
        "known_browsers",
        sa.Column("token_hash", _TEXT, nullable=False),
        sa.Column("person", _TEXT, nullable=False),
        sa.Column("known_since", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_known_browsers"),
    )
    op.create_index("ix_known_browsers_person", "known_browsers", ["person"])


def _attempts() -> None:
    op.create_table(
        "sign_in_attempts",
        sa.Column("about", _TEXT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", _TEXT, nullable=False),
        sa.Column("locked_until", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("about", name="pk_sign_in_attempts"),
    )
    op.create_index("ix_sign_in_attempts_since", "sign_in_attempts", ["since"])
    op.create_table(
        "oidc_attempts",
        sa.Column("state_hash", _TEXT, nullable=False),
        sa.Column("visit_hash", _TEXT, nullable=False),
        sa.Column("nonce", _TEXT, nullable=False),
        sa.Column("verifier", _TEXT, nullable=False),
        sa.Column("next", _TEXT, nullable=False),
        sa.Column("began_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_oidc_attempts"),
    )
    op.create_index("ix_oidc_attempts_began_at", "oidc_attempts", ["began_at"])
