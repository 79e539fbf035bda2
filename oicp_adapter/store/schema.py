"""
Describes the store's tables: three shared ones that others write, and the adapter's own, named `oicp_…`.

1. The migrations make the tables; a test compares what they made with what stands here.
2. Statements are built on `__table__`s. No object of these classes travels on the way of a change: they cost more than
   the change.
"""

from datetime import datetime
from typing import Any, ClassVar, Final, cast

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text
from sqlmodel import Field, SQLModel

from oicp_adapter.store.types import ForeignKeyText, ForeignText, KeyText, UtcTimestamp

VERSION_TABLE: Final = "oicp_schema_version"
"""Holds the revision of the last migration; Alembic makes it."""

GENERATED_ID = BigInteger().with_variant(Integer(), "sqlite")
"""The type of a generated key: SQLite generates only for INTEGER, which has 64 bits there."""


def _instant(*, nullable: bool = True) -> Any:
    return Field(sa_type=UtcTimestamp, nullable=nullable)


def _number() -> Any:
    return Field(sa_type=Integer, nullable=False)


class StoreTable(SQLModel):
    """Base of all tables; keeps them apart from other users of SQLModel in the process."""

    metadata: ClassVar[MetaData] = MetaData()


class EvseStatus(StoreTable, table=True):
    """The technical status of one EVSE, written by others."""

    __tablename__ = "evse_status"

    evse_id: str = Field(sa_column=Column(ForeignKeyText, primary_key=True))
    operator_id: str = Field(sa_type=ForeignText, nullable=False)
    status: str = Field(sa_type=ForeignText, nullable=False)
    changed_at: datetime | None = _instant()


class TemporaryStatusRow(StoreTable, table=True):
    """One window in which a temporary status applies to an EVSE."""

    __tablename__ = "temporary_status"

    id: int = Field(sa_column=Column(GENERATED_ID, primary_key=True, autoincrement=True))
    evse_id: str = Field(sa_column=Column(ForeignKeyText, nullable=False))
    status: str = Field(sa_type=ForeignText, nullable=False)
    valid_from: datetime = _instant(nullable=False)
    valid_to: datetime | None = _instant()
    reason: str | None = Field(sa_type=ForeignText)
    reference: str | None = Field(sa_type=ForeignText)
    created_by: str | None = Field(sa_type=ForeignText)
    created_at: datetime | None = _instant()
    updated_at: datetime | None = _instant()
    ended_at: datetime | None = _instant()
    ended_by: str | None = Field(sa_type=ForeignText)


class EvseLocation(StoreTable, table=True):
    """Where an EVSE stands, for people."""

    __tablename__ = "evse_location"

    evse_id: str = Field(sa_column=Column(ForeignKeyText, primary_key=True))
    location: str | None = Field(sa_type=ForeignText)
    charge_box: str | None = Field(sa_type=ForeignText)
    time_zone: str | None = Field(sa_type=ForeignText)


class Hint(StoreTable, table=True):
    """A note of a trigger: look at this EVSE. Appended by writers, deleted by exactly its id, which is never reused."""

    __tablename__ = "oicp_hint"

    id: int = Field(sa_column=Column(GENERATED_ID, primary_key=True, autoincrement=True))
    evse_key: str = Field(sa_type=KeyText, nullable=False)
    operator_key: str | None = Field(sa_type=KeyText)
    created_at: datetime = _instant(nullable=False)


class LedgerRow(StoreTable, table=True):
    """`sync.model.Entry` of a lane."""

    __tablename__ = "oicp_ledger"

    lane: str = Field(sa_column=Column(KeyText, primary_key=True))
    canonical: str = Field(sa_column=Column(KeyText, primary_key=True))
    evse_id: str = Field(sa_type=KeyText, nullable=False)
    acknowledged: str | None = Field(sa_type=Text)
    acknowledged_at: datetime | None = _instant()
    acknowledged_since: datetime | None = _instant()
    asserted_at: datetime | None = _instant()
    presence: str = Field(sa_type=Text, nullable=False)
    doubted_at: datetime | None = _instant()
    debt_at: datetime | None = _instant()
    pending_since: datetime | None = _instant()
    pending_edge: str | None = Field(sa_type=Text)
    withdrawn_at: datetime | None = _instant()
    held_since: datetime | None = _instant()
    approved_at: datetime | None = _instant()
    approved_by: str | None = Field(sa_type=Text)
    failures: int = _number()
    first_failed_at: datetime | None = _instant()
    retry_at: datetime | None = _instant()
    refusal: str | None = Field(sa_type=Text)
    refusal_detail: str | None = Field(sa_type=Text)
    refused_status: str | None = Field(sa_type=Text)
    batch_cap: int | None = Field(sa_type=Integer)
    flipped: bool = Field(sa_type=Boolean, nullable=False)
    failed_singly: int = _number()
    attempt: int = Field(sa_type=BigInteger, nullable=False)
    due_at: datetime | None = _instant()


class RejectionRow(StoreTable, table=True):
    """A row of `evse_status` that never leaves the house."""

    __tablename__ = "oicp_rejection"

    evse_id: str = Field(sa_column=Column(KeyText, primary_key=True))
    lane: str = Field(sa_type=KeyText, nullable=False)
    canonical: str = Field(sa_type=KeyText, nullable=False)
    operator_id: str = Field(sa_type=Text, nullable=False)
    reason: str = Field(sa_type=Text, nullable=False)
    detail: str = Field(sa_type=Text, nullable=False)
    since: datetime = _instant(nullable=False)


class LaneRow(StoreTable, table=True):
    """`sync.model.Position` of a lane; the row that its transactions lock."""

    __tablename__ = "oicp_lane"

    lane: str = Field(sa_column=Column(KeyText, primary_key=True))
    epoch: int = Field(sa_type=BigInteger, nullable=False)
    holder: str | None = Field(sa_type=Text)
    expires_at: datetime | None = _instant()
    attempt: int = Field(sa_type=BigInteger, nullable=False)
    silent_until: datetime | None = _instant()
    wait_until: datetime | None = _instant()
    failures: int = _number()
    hold_reason: str | None = Field(sa_type=Text)
    hold_detail: str | None = Field(sa_type=Text)
    last_success_at: datetime | None = _instant()
    refused_streak: int = _number()
    flip_first: bool = Field(sa_type=Boolean, nullable=False)
    after_suspect: bool = Field(sa_type=Boolean, nullable=False)
    doubted_before: datetime | None = _instant()
    debt_at: datetime | None = _instant()
    paced_at: datetime | None = _instant()
    full_load_at: datetime | None = _instant()
    full_load_tried_at: datetime | None = _instant()
    full_load_requested_at: datetime | None = _instant()
    full_load_requested_by: str | None = Field(sa_type=Text)
    distrusted_at: datetime | None = _instant()
    wanted_by: str | None = Field(sa_type=Text)
    wanted_at: datetime | None = _instant()


class IdentityRow(StoreTable, table=True):
    """`sync.identity.StoreIdentity` as a lane knows it."""

    __tablename__ = "oicp_identity"

    lane: str = Field(sa_column=Column(KeyText, primary_key=True))
    hub: str = Field(sa_type=Text, nullable=False)
    address: str | None = Field(sa_type=Text)
    database: str | None = Field(sa_type=Text)
    system: str | None = Field(sa_type=Text)
    timeline: int | None = Field(sa_type=BigInteger)
    recorded_at: datetime = _instant(nullable=False)
    adopted_by: str | None = Field(sa_type=Text)


class IntentRow(StoreTable, table=True):
    """`sync.model.Intent` of a lane, its records as JSON."""

    __tablename__ = "oicp_intent"

    lane: str = Field(sa_column=Column(KeyText, primary_key=True))
    epoch: int = Field(sa_type=BigInteger, nullable=False)
    attempt: int = Field(sa_type=BigInteger, nullable=False)
    action: str = Field(sa_type=Text, nullable=False)
    records: str = Field(sa_type=Text, nullable=False)
    started_at: datetime = _instant(nullable=False)
    silent_until: datetime = _instant(nullable=False)
    suspect: bool = Field(sa_type=Boolean, nullable=False)


class FullLoadRow(StoreTable, table=True):
    """One record of the full load that a lane is about to send, or is sending."""

    __tablename__ = "oicp_full_load"

    lane: str = Field(sa_column=Column(KeyText, primary_key=True))
    canonical: str = Field(sa_column=Column(KeyText, primary_key=True))
    evse_id: str = Field(sa_type=KeyText, nullable=False)
    status: str = Field(sa_type=Text, nullable=False)
    valid_until: datetime | None = _instant()


class SchemaSupport(StoreTable, table=True):
    """The revision that the oldest program wants which can still work with these tables; one row."""

    __tablename__ = "oicp_schema_support"

    oldest: str = Field(sa_column=Column(Text, primary_key=True))


class TokenRow(StoreTable, table=True):
    """A token of the control API; lists are JSON."""

    __tablename__ = "oicp_token"

    id: str = Field(sa_column=Column(KeyText, primary_key=True))
    name: str = Field(sa_type=Text, nullable=False)
    secret_sha256: str = Field(sa_type=Text, nullable=False)
    scopes: str = Field(sa_type=Text, nullable=False)
    kinds: str = Field(sa_type=Text, nullable=False)
    evse_patterns: str = Field(sa_type=Text, nullable=False)
    locations: str = Field(sa_type=Text, nullable=False)
    longest_seconds: int | None = Field(sa_type=BigInteger)
    requests_per_minute: int | None = Field(sa_type=Integer)
    created_at: datetime = _instant(nullable=False)
    created_by: str = Field(sa_type=Text, nullable=False)
    expires_at: datetime | None = _instant()
    revoked_at: datetime | None = _instant()
    revoked_by: str | None = Field(sa_type=Text)
    last_used_at: datetime | None = _instant()


class SessionRow(StoreTable, table=True):
    """Somebody who signed in to the operator page, or a link that signs somebody in once."""

    __tablename__ = "oicp_session"

    secret_sha256: str = Field(sa_column=Column(KeyText, primary_key=True))
    token_id: str = Field(sa_type=KeyText, nullable=False)
    csrf: str = Field(sa_type=Text, nullable=False)
    kind: str = Field(sa_type=Text, nullable=False)
    created_at: datetime = _instant(nullable=False)
    expires_at: datetime = _instant(nullable=False)


class WindowRow(StoreTable, table=True):
    """What the control service knows of a window beyond `temporary_status`."""

    __tablename__ = "oicp_window"

    window_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    token_id: str | None = Field(sa_type=KeyText)
    time_zone: str | None = Field(sa_type=Text)


class ReferenceRow(StoreTable, table=True):
    """The window that somebody keeps under a name of their own: a booking's number, a sensor."""

    __tablename__ = "oicp_reference"

    token_id: str = Field(sa_column=Column(KeyText, primary_key=True))
    kind: str = Field(sa_column=Column(KeyText, primary_key=True))
    reference: str = Field(sa_column=Column(KeyText, primary_key=True))
    evse_id: str = Field(sa_type=Text, nullable=False)
    window_id: int | None = Field(sa_type=BigInteger)
    updated_at: datetime = _instant(nullable=False)


class IdempotencyRow(StoreTable, table=True):
    """A request that was answered, to be answered in the same words again."""

    __tablename__ = "oicp_idempotency"

    token_id: str = Field(sa_column=Column(KeyText, primary_key=True))
    key: str = Field(sa_column=Column(KeyText, primary_key=True))
    fingerprint: str = Field(sa_type=Text, nullable=False)
    answer: str = Field(sa_type=Text, nullable=False)
    created_at: datetime = _instant(nullable=False)


class AuditRow(StoreTable, table=True):
    """Who changed what, and what was before; only ever appended."""

    __tablename__ = "oicp_audit"

    id: int = Field(sa_column=Column(GENERATED_ID, primary_key=True, autoincrement=True))
    at: datetime = _instant(nullable=False)
    actor: str = Field(sa_type=Text, nullable=False)
    token_id: str | None = Field(sa_type=KeyText)
    action: str = Field(sa_type=Text, nullable=False)
    window_id: int | None = Field(sa_type=BigInteger)
    subject: str | None = Field(sa_type=Text)
    before: str | None = Field(sa_type=Text)
    after: str | None = Field(sa_type=Text)


def _table(model: type[StoreTable]) -> Table:
    return cast("Table", model.__table__)  # type: ignore[attr-defined]  # SQLModel declares it only at run time


evse_status = _table(EvseStatus)
temporary_status = _table(TemporaryStatusRow)
evse_location = _table(EvseLocation)
hint = _table(Hint)
ledger = _table(LedgerRow)
rejection = _table(RejectionRow)
lane_row = _table(LaneRow)
identity_row = _table(IdentityRow)
intent_row = _table(IntentRow)
full_load = _table(FullLoadRow)
schema_support = _table(SchemaSupport)
token_row = _table(TokenRow)
session_row = _table(SessionRow)
window_row = _table(WindowRow)
reference_row = _table(ReferenceRow)
idempotency = _table(IdempotencyRow)
audit = _table(AuditRow)
metadata = StoreTable.metadata
