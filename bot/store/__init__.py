"""What Kiku remembers, in SQLite or any database that SQLAlchemy knows."""

from bot.store.conversations import Store, StoredAnswer, StoredConversation, StoredRating

__all__ = ["Store", "StoredAnswer", "StoredConversation", "StoredRating"]
