"""The indexes of proposals: what each list, queue and timer is answered from.

An index of what waits begins with the state: SQLite, which knows no numbers of rows, prefers the index with
more columns of which the value is given.
"""

from sqlalchemy import Index

from store.engine.dialects import partial_index
from store.schema import proposals

_P = proposals.c

# Steps that take rows.
partial_index("ix_proposals_busy", _P.due_at, where=_P.state.in_(["approved", "executing", "unknown"]))
partial_index("ix_proposals_undrawn", _P.card_due_at, where=_P.rendered_version < _P.row_version)

# What waits: by money and by its end, with the rest of the order, so that a page is read in its order.
_PENDING = _P.state == "pending"
_REST = (_P.created_at, _P.id, _P.snoozed_until)
partial_index("ix_proposals_worth", _P.state, _P.worth.desc(), *_REST, where=_PENDING)
partial_index("ix_proposals_ends_at", _P.state, _P.ends_at, _P.worth.desc(), *_REST, where=_PENDING)
_ASSIGNED = _PENDING & _P.assignee.is_not(None)
_IN_ORDER = (_P.worth.desc(), _P.created_at, _P.id, _P.ends_at)
partial_index("ix_proposals_assignee", _P.state, _P.assignee, *_IN_ORDER, where=_ASSIGNED)
partial_index("ix_proposals_expires_at", _P.state, _P.expires_at, where=_PENDING)
_SNOOZED = _PENDING & _P.snoozed_until.is_not(None)
partial_index("ix_proposals_snoozed_until", _P.state, _P.snoozed_until, where=_SNOOZED)
_REMINDED = _PENDING & _P.reminded_at.is_not(None)
partial_index("ix_proposals_reminded_at", _P.state, _P.reminded_at, where=_REMINDED)

# What is looked for.
Index("ix_proposals_state", _P.state, _P.created_at)
Index("ix_proposals_event_id", _P.event_id)
_BY_HAND = _P.proposer.is_not(None)
partial_index("ix_proposals_proposer", _P.proposer, _P.state, _P.created_at, _P.id, where=_BY_HAND)
Index("ix_proposals_customer_id", _P.customer_id, _P.created_at)
Index("ix_proposals_customer", _P.customer, _P.created_at)
Index("ix_proposals_rule", _P.rule, _P.created_at)
Index("ix_proposals_decided_at", _P.decided_at)
Index("ix_proposals_bundle_id", _P.bundle_id)
Index("ix_proposals_case_kind", _P.case_kind, _P.decided_at)
partial_index("ix_proposals_offers", _P.case_kind, _P.created_at, where=_P.kind == "graduation")
Index("ix_proposals_undo_of_id", _P.undo_of_id)
Index("ix_proposals_card_ts", _P.card_ts)
