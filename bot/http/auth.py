"""API keys: made once, kept only as digests, compared in constant time.

An entry of `KIKU_API_KEYS` is `name:digest:collections[:admin]`. The digest is the SHA-256 of the
key in hexadecimal: a key has 256 random bits, so neither salt nor slow hashing adds anything.
`collections` is `*` or names joined by `+`. Names are percent-encoded.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, unquote

from index.errors import SettingsError

_PREFIX = "kiku_"
_ALL = "*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `id` is opaque and stable, empty for anyone where there are no keys.

    `collections` None means all.
    """

    id: str = ""
    name: str = ""
    collections: frozenset[str] | None = None
    admin: bool = False

    def may_see(self, wanted: Iterable[str] | None) -> frozenset[str] | None:
        """The collections of a request: those wanted that the caller may see. None means all."""
        if wanted is None:
            return self.collections
        asked = frozenset(wanted)
        return asked if self.collections is None else asked & self.collections


def create_key(
    name: str, collections: Iterable[str] | None = None, admin: bool = False
) -> tuple[str, str]:
    """A new key, to be shown once, and its entry for `KIKU_API_KEYS`.

    `collections` None lets the key see everything; an administrator also sees the insights and
    may rebuild the index. Raises ValueError for a key without a name or without a collection.
    """
    collections = None if collections is None else list(collections)
    if not name or collections == []:
        raise ValueError("a key needs a name, and may see at least one collection")
    key = _PREFIX + secrets.token_urlsafe(32)
    seen = _ALL if collections is None else "+".join(quote(item, safe="") for item in collections)
    entry = f"{quote(name, safe='')}:{_digest(key)}:{seen}" + (":admin" if admin else "")
    return key, entry


class KeyRing:
    """The keys that open the service; without any, everybody may come in."""

    def __init__(self, callers: Iterable[tuple[str, Caller]] = ()) -> None:
        self._callers = tuple(callers)

    @classmethod
    def parse(cls, entries: str) -> KeyRing:
        """The ring of the entries of `KIKU_API_KEYS`; a SettingsError does not repeat them."""
        parsed = (_entry(entry.strip()) for entry in entries.split(",") if entry.strip())
        return cls(parsed)

    def __bool__(self) -> bool:
        return bool(self._callers)

    def find(self, key: str) -> Caller | None:
        """Who holds `key`. Every entry is compared, so that time tells nothing."""
        digest = _digest(key)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def presented_key(authorization: str, x_api_key: str = "") -> str:
    """The key of a request: `Bearer KEY`, `Basic` with the key as password, or `X-API-Key`."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:  # neither base64 nor UTF-8
            return ""
    return x_api_key.strip()


def _entry(entry: str) -> tuple[str, Caller]:
    name, digest, seen, role = [*entry.split(":"), "", "", ""][:4]
    is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    if not name or not is_digest or not seen or role not in ("", "admin") or entry.count(":") > 3:
        raise SettingsError(
            "KIKU_API_KEYS に読めない項目があります。",
            hint="`kiku keys create` が表示した行を、そのままコンマで区切って入れてください。",
        )
    collections = None if seen == _ALL else frozenset(unquote(item) for item in seen.split("+"))
    caller = Caller(f"key:{digest[:16]}", unquote(name), collections, role == "admin")
    return digest, caller


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
