"""The transfer of by_hand.sql as a team would write it today with FastAPI, SQLAlchemy and asyncpg, on the same tables.

PGHOST=... PGUSER=... PGDATABASE=... POOL=4 uvicorn --app-dir bench/peers fastapi_transfers:app --workers 2 --no-access-log
"""
import os
from datetime import datetime, timezone
from decimal import Decimal
from typing import Optional
from uuid import uuid4

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, LargeBinary, Numeric, Sequence, SmallInteger, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, sessionmaker

engine = create_async_engine(
    "postgresql+asyncpg://",  # the rest is in PGHOST, PGPORT, PGUSER and PGDATABASE
    pool_size=int(os.environ.get("POOL", "4")),
    max_overflow=0,
    connect_args={"server_settings": {"search_path": "by_hand"}},
)
new_session = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
Base = declarative_base()
app = FastAPI()


class Account(Base):
    __tablename__ = "account"
    account_id = Column(BigInteger, primary_key=True)
    currency = Column(Text, nullable=False)
    status = Column(Text, nullable=False)
    balance = Column(Numeric(19, 4), nullable=False)
    held = Column(Numeric(19, 4), nullable=False)
    overdraft_limit = Column(Numeric(19, 4), nullable=False)


class Transaction(Base):
    __tablename__ = "transaction_log"
    transaction_id = Column(BigInteger, Sequence("by_hand_id"), primary_key=True)
    type = Column(Text, nullable=False)
    from_account_id = Column(BigInteger, ForeignKey("account.account_id"), nullable=False)
    to_account_id = Column(BigInteger, ForeignKey("account.account_id"), nullable=False)
    amount = Column(Numeric(19, 4), nullable=False)
    currency = Column(Text, nullable=False)
    from_balance_after = Column(Numeric(19, 4), nullable=False)
    to_balance_after = Column(Numeric(19, 4), nullable=False)
    reverses_transaction_id = Column(BigInteger)
    hold_id = Column(BigInteger)
    client_id = Column(Text, nullable=False)
    idempotency_key = Column(Text, nullable=False)
    part = Column(SmallInteger, nullable=False, default=0)
    request_hash = Column(LargeBinary)
    reference = Column(Text)
    # "metadata" is SQLAlchemy's own name.
    notes = Column("metadata", JSONB(none_as_null=True))
    created_at = Column(DateTime(timezone=True), nullable=False)


class TransferRequest(BaseModel):
    from_account_id: int
    to_account_id: int
    amount: Decimal = Field(gt=0)
    reference: Optional[str] = Field(None, max_length=140)
    metadata: Optional[dict[str, str]] = None


class TransactionResponse(BaseModel):
    transaction_id: int
    type: str
    from_account_id: int
    to_account_id: int
    amount: str
    currency: str
    from_balance_after: str
    to_balance_after: str
    reverses_transaction_id: Optional[int]
    hold_id: Optional[int]
    reference: Optional[str]
    metadata: Optional[dict[str, str]]
    created_at: datetime


async def session():
    async with new_session() as opened:
        yield opened


@app.post("/api/transaction", status_code=201, response_model=TransactionResponse)
async def transfer(request: TransferRequest, db: AsyncSession = Depends(session)):
    if request.from_account_id == request.to_account_id:
        raise HTTPException(400, "The accounts are the same.")

    rows = await db.execute(
        select(Account)
        .where(Account.account_id.in_([request.from_account_id, request.to_account_id]))
        .order_by(Account.account_id)  # all in one order, so that no two wait for each other
        .with_for_update()
    )
    accounts = {account.account_id: account for account in rows.scalars()}
    if len(accounts) < 2:
        raise HTTPException(404, "An account does not exist.")

    payer, payee = accounts[request.from_account_id], accounts[request.to_account_id]
    if payer.status != "active" or payee.status not in ("active", "debits_blocked"):
        raise HTTPException(409, "An account is not active.")
    if payer.currency != payee.currency:
        raise HTTPException(422, "The accounts have different currencies.")
    if payer.balance - payer.held + payer.overdraft_limit < request.amount:
        raise HTTPException(422, "The balance does not cover the amount.")

    payer.balance -= request.amount
    payee.balance += request.amount
    transaction = Transaction(
        type="transfer",
        from_account_id=payer.account_id,
        to_account_id=payee.account_id,
        amount=request.amount,
        currency=payer.currency,
        from_balance_after=payer.balance,
        to_balance_after=payee.balance,
        client_id="fastapi",
        idempotency_key=str(uuid4()),
        reference=request.reference,
        notes=request.metadata,
        created_at=datetime.now(timezone.utc),
    )
    db.add(transaction)
    await db.commit()
    return TransactionResponse(
        transaction_id=transaction.transaction_id,
        type=transaction.type,
        from_account_id=transaction.from_account_id,
        to_account_id=transaction.to_account_id,
        amount=f"{transaction.amount:.2f}",
        currency=transaction.currency,
        from_balance_after=f"{transaction.from_balance_after:.2f}",
        to_balance_after=f"{transaction.to_balance_after:.2f}",
        reverses_transaction_id=transaction.reverses_transaction_id,
        hold_id=transaction.hold_id,
        reference=transaction.reference,
        metadata=transaction.notes,
        created_at=transaction.created_at,
    )
