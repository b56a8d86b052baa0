"""Which cases somebody approved on the heels of another yes: nobody looks at two questions in two seconds."""

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, func, or_, select, type_coerce

from store.models import Verdict
from store.models.graduation import POLICY, PROGRAM
from store.schema import decisions

_MICROSECOND = timedelta(microseconds=1)
_TOO_SOON = timedelta(seconds=2) // _MICROSECOND
# A yes is written down after a look at Polar: by then another one, pressed later, may have been.
_NEAR = timedelta(minutes=10) // _MICROSECOND


def hasty(connection: Connection, ids: Any) -> set[str]:
    """Of these proposals (ids or a query), those with a yes less than 2 s after another of that person.

    Both are compared as they were pressed. What one press approves besides is not meant.
    """
    mine, other = decisions.alias(), decisions.alias()
    pressed, before = (
        type_coerce(func.coalesce(one.c.pressed_at, one.c.at), BigInteger) for one in (mine, other)
    )
    at, near = type_coerce(mine.c.at, BigInteger), type_coerce(other.c.at, BigInteger)
    earlier = and_(
        other.c.actor == mine.c.actor,
        near.between(at - _NEAR, at + _NEAR),
        other.c.verdict == Verdict.APPROVE,
        before > pressed - _TOO_SOON,
        or_(before < pressed, and_(before == pressed, other.c.id < mine.c.id)),
        or_(mine.c.tap.is_(None), other.c.tap.is_(None), other.c.tap != mine.c.tap),
        other.c.proposal_id != mine.c.proposal_id,
    )
    yes = (mine.c.verdict == Verdict.APPROVE, mine.c.actor.not_in((POLICY, PROGRAM)))
    found = select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(ids), *yes, select(other.c.id).where(earlier).exists()
    )
    return set(connection.execute(found).scalars())
