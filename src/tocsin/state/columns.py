"""What every table is made of: the one metadata, ids that count up by themselves, instants and texts that are never null."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Integer, Text

metadata = sa.MetaData()

# SQLite counts rows up by itself only in INTEGER columns; PostgreSQL wants 64 bits.
ID = BigInteger().with_variant(Integer, "sqlite")


def ms(name: str, *, index: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0", index=index)


def text(name: str, *, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)
