"""Which engine a setting means."""

from __future__ import annotations

from pathlib import Path

from index.engines.contract import Engine
from index.engines.local import LocalEngine

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
