"""Keeps what is counted, so that nothing is counted anew as history grows.

Labels say for whom they count, whether they count by now, and whether their values are approved values. Kinds
of case keep the time of their last rejection. A kind whose assessment failed is set aside.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import SafeJson, SafeText, UtcDateTime
from store.migrations.tables import add_columns, index, key, optional, refers, required

revision = "0005"
down_revision = "0004"

# Values of labels that nobody may have looked at are not approved values.
_UNSEEN = ("too_fast", "bulk", "restated")


def upgrade() -> None:
    _add_labels()
    _add_kinds()
    index("ix_proposals_offers", "proposals", "case_kind", "created_at", where="kind = 'graduation'")
    _fill_labels(op.get_bind())
    _fill_kinds()


def _flag(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _add_labels() -> None:
    add_columns("case_labels", *optional(SafeText, "customer_id"), _flag("in_score"), _flag("is_learnt"))
    own = ("case_kind", "generation")
    op.drop_index("ix_case_labels_case_kind", "case_labels")
    index("ix_case_labels_counted", "case_labels", *own, "is_counted", "is_rejection", "decided_at")
    index("ix_case_labels_customer_id", "case_labels", *own, "in_score", "customer_id")
    index("ix_case_labels_learnt", "case_labels", "case_kind", "is_learnt", "decided_at", "proposal_id")
    index("ix_case_labels_case_kind", "case_labels", "case_kind", "matures_at")
    checks = "is_counted = 1 AND is_spot_check = 1"
    index("ix_case_labels_spot_checks", "case_labels", "case_kind", "is_rejection", where=checks)


def _add_kinds() -> None:
    add_columns(
        "case_kinds",
        *optional(UtcDateTime, "last_rejection_at"),
        *optional(sa.Text, "set_aside_code"),
        *optional(SafeJson, "set_aside_args"),
        *optional(UtcDateTime, "set_aside_at", "retry_at"),
    )
    index("ix_case_kinds_retry_at", "case_kinds", "retry_at", where="retry_at IS NOT NULL")
    op.create_table(
        "unlearned_cases",
        *key(sa.Text, "proposal_id"),
        *required(sa.Text, "case_kind"),
        refers("proposal_id", "proposals.id"),
        refers("case_kind", "case_kinds.hash"),
    )
    index("ix_unlearned_cases_case_kind", "unlearned_cases", "case_kind", "proposal_id")


def _fill_labels(connection: sa.Connection) -> None:
    """Until when labels count was kept as a moment."""
    kept = sa.text("SELECT value FROM settings_kv WHERE name = 'learned_at'")
    moment = connection.execute(kept).scalar()
    until = datetime(1970, 1, 1, tzinfo=UTC) if moment is None else datetime.fromisoformat(moment)
    names = (
        "is_rejection",
        "is_counted",
        "reason_code",
        "in_score",
        "is_learnt",
        "proposal_id",
        "customer_id",
    )
    labels = sa.table("case_labels", sa.column("matures_at", UtcDateTime()), *map(sa.column, names))
    proposals = sa.table("proposals", sa.column("id"), sa.column("customer_id"))
    c = labels.c
    counts = sa.and_(c.is_counted == 1, sa.or_(c.is_rejection == 1, c.matures_at <= until))
    learnt = sa.and_(c.is_rejection == 0, c.reason_code.not_in(_UNSEEN))
    customer = sa.select(proposals.c.customer_id).where(proposals.c.id == c.proposal_id).scalar_subquery()
    connection.execute(
        sa.update(labels).values(
            customer_id=customer,
            in_score=sa.case((counts, 1), else_=0),
            is_learnt=sa.case((learnt, 1), else_=0),
        )
    )


def _fill_kinds() -> None:
    """The other counts are kept already; a nightly check holds them against the labels."""
    op.execute("""
        UPDATE case_kinds SET last_rejection_at = (
          SELECT max(l.decided_at) FROM case_labels l
          WHERE l.case_kind = case_kinds.hash AND l.generation = case_kinds.generation
            AND l.is_counted = 1 AND l.is_rejection = 1)""")
