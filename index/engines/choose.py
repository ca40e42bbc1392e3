"""Which engine a setting means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from index.engines.contract import Engine
from index.engines.local import LocalEngine

if TYPE_CHECKING:
    from index.engines.postgres_cache import PostgresEmbeddings

LOCAL = "local"


def choose_engine(store: str, home: Path) -> Engine:
    """The engine of `local`, `postgresql://…` or `milvus://…`. Nothing is connected yet."""
    scheme = store.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from index.engines.postgres import PostgresEngine

        return PostgresEngine(store)
    if scheme in ("milvus", "milvuss"):
        from index.engines.milvus import MilvusEngine

        return MilvusEngine(store)
    return LocalEngine(home)


def choose_shared(store: str) -> PostgresEmbeddings | None:
    """Where machines put together what they encode: the database, if the store is PostgreSQL."""
    if store.partition("://")[0] not in ("postgresql", "postgres"):
        return None
    from index.engines.postgres_cache import PostgresEmbeddings

    return PostgresEmbeddings(store)
