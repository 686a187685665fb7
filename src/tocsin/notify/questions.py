"""What the deliverer asks the outbox at every look, prepared."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from tocsin.model.notification import NotificationKind
from tocsin.state.outbox import WAITING
from tocsin.state.prepared import Prepared
from tocsin.state.schema import attempts, channel_refs, incidents, notifications

TOLD = ("accepted", "delivered", "read")
STATE_OF_WORLD = (NotificationKind.PAGE.value, NotificationKind.UPDATE.value)
_PAGE = NotificationKind.PAGE.value
_OVERTAKES = (*STATE_OF_WORLD, NotificationKind.ACKNOWLEDGED.value)
c = notifications.c


def due(*, put_off_freely: str, most: int) -> Prepared:
    """Rows that may go now (`now`), not of the references `blocked`, oldest first.

    What was decided earlier for the same address goes first, unless it waits with the reason `put_off_freely`.
    """
    e = notifications.alias("earlier").c
    now: sa.BindParameter[int] = bindparam("now")
    in_the_way = (
        sa.select(e.id)
        .where(
            e.order_key == c.order_key,
            e.order_key != "",
            e.id < c.id,
            sa.or_(
                e.state == "sending",
                sa.and_(e.state.in_(WAITING), sa.or_(e.attempts > 0, e.due_at_ms <= now)),
                # Put off on its way (told together with others, silenced for a moment): a reason stands on it.
                sa.and_(e.state == "pending", e.state_reason.not_in(("", put_off_freely))),
            ),
        )
        .exists()
    )
    blocked = c.settings_ref.not_in(bindparam("blocked", expanding=True))
    query = sa.select(notifications).where(c.state.in_(WAITING), c.due_at_ms <= now, ~in_the_way, blocked)
    # Mails to the visitors of a status page are many, and nobody's page may wait for them.
    later = sa.case((c.kind == NotificationKind.PUBLISHED.value, 1), else_=0)
    return Prepared(query.order_by(later, c.due_at_ms, c.id).limit(most))


STATE = Prepared(sa.select(c.state).where(c.id == bindparam("of")))
ROW = Prepared(sa.select(notifications).where(c.id == bindparam("of")))
EXTRA = Prepared(sa.select(c.extra).where(c.id == bindparam("of")))


def _as_it_is() -> sa.Select[Any]:
    """(state of the incident, its holder, the newest message to the same address that tells as much, whether it was told)."""
    key: sa.BindParameter[str] = bindparam("key")
    than: sa.BindParameter[str] = bindparam("than")
    newer = sa.select(sa.func.max(c.id)).where(
        c.order_key == key,
        c.id > than,
        sa.or_(
            sa.and_(c.kind.in_(STATE_OF_WORLD), c.state.in_(WAITING), c.due_at_ms <= bindparam("now")),
            # One that overtook this one, which was put off, tells it as well.
            sa.and_(c.kind.in_(_OVERTAKES), c.state.in_((*TOLD, "sending"))),
        ),
    )
    told = sa.select(c.id).where(c.order_key == key, c.id < than, sa.or_(c.state.in_(TOLD), c.possible_repeat.is_(True)))
    return sa.select(
        incidents.c.state,
        incidents.c.acknowledged_by,
        newer.scalar_subquery().label("newer"),
        told.limit(1).scalar_subquery().label("told"),
    ).where(incidents.c.number == bindparam("of"))


NOW = Prepared(_as_it_is())
LEASE = Prepared(
    sa.update(notifications)
    .where(c.id == bindparam("of"))
    .values(
        state="sending",
        attempts=bindparam("n"),
        lease_owner=bindparam("owner"),
        lease_until_ms=bindparam("until"),
        sent_ms=bindparam("sent"),
    )
)
ATTEMPT = Prepared(
    sa.insert(attempts)
    .values(notification=bindparam("note"), n=bindparam("nth"), started_ms=bindparam("now"))
    .returning(attempts.c.id)
)
ATTEMPT_ENDED = Prepared(
    sa.update(attempts)
    .where(attempts.c.id == bindparam("of"))
    .values(
        ended_ms=bindparam("now"),
        outcome=bindparam("result"),
        status=bindparam("code"),
        reason=bindparam("why"),
        provider_id=bindparam("theirs"),
    )
)
FINISH = Prepared(
    sa.update(notifications)
    .where(c.id == bindparam("of"))
    .values(
        state=bindparam("to_state"),
        state_reason=bindparam("why"),
        lease_owner="",
        lease_until_ms=0,
        due_at_ms=bindparam("due"),
        done_ms=bindparam("done"),
        provider_id=bindparam("theirs"),
        possible_repeat=bindparam("repeat"),
    )
)
DROP = Prepared(
    sa.update(notifications)
    .where(c.id == bindparam("of"))
    .values(state=bindparam("to_state"), state_reason=bindparam("why"), done_ms=bindparam("now"))
)
PUT_OFF = Prepared(
    sa.update(notifications)
    .where(c.id == bindparam("of"))
    .values(due_at_ms=bindparam("due"), expires_ms=bindparam("until"), state_reason=bindparam("why"), extra=bindparam("more"))
)
REFS = Prepared(
    sa.select(channel_refs.c.data).where(channel_refs.c.incident == bindparam("of"), channel_refs.c.order_key == bindparam("key"))
)
RECENT = Prepared(
    sa.select(c.sent_ms)
    .where(
        c.settings_ref == bindparam("ref"),
        c.kind == bindparam("of_kind"),
        c.incident != bindparam("but"),
        c.created_ms > bindparam("created_after"),  # has an index, sent_ms has none
        c.sent_ms.between(bindparam("sent_after"), bindparam("now")),  # a clock that was set back has seen the future
    )
    .order_by(c.sent_ms.desc())
    .limit(bindparam("most"))
)
CROWD = Prepared(
    sa.select(notifications)
    .where(
        c.settings_ref == bindparam("ref"),
        c.kind == bindparam("of_kind"),
        c.incident != bindparam("but"),
        c.state.in_(WAITING),
        c.due_at_ms <= bindparam("now"),
        c.attempts == 0,
    )
    .order_by(c.id)
)
UNACCEPTED = Prepared(
    sa.select(notifications)
    .where(c.kind == _PAGE, c.state.in_(("pending", "sending")), c.created_ms <= bindparam("before"))
    .order_by(c.id)
)


def _survey() -> sa.Select[Any]:
    """(waiting, being sent, held, when the next one becomes due, 1 where a page is under way)."""
    now: sa.BindParameter[int] = bindparam("now")

    def count(state: str) -> Any:
        return sa.select(sa.func.count()).select_from(notifications).where(c.state == state).scalar_subquery()

    soonest = sa.select(sa.func.min(c.due_at_ms)).where(c.state.in_(WAITING), c.due_at_ms > now)
    waits = sa.and_(c.state == "pending", sa.or_(c.attempts > 0, c.due_at_ms <= now))
    page = sa.select(sa.func.count()).select_from(
        sa.select(c.id).where(c.kind == _PAGE, sa.or_(c.state == "sending", waits)).limit(1).subquery()
    )
    return sa.select(
        count("pending").label("pending"),
        count("sending").label("sending"),
        count("held").label("held"),
        soonest.scalar_subquery().label("soonest"),
        page.scalar_subquery().label("page"),
    )


SURVEY = Prepared(_survey())
