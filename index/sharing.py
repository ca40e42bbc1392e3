"""Encoding by several processes or machines: each reads and encodes a share of the files.

A share is encoded into a cache and nothing else is written, so that shares may run at once, die and
run again. The build that follows finds in the cache what it would have encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from index.cache import CACHE, Cache, SharedEmbeddings
from index.embedding import embed
from index.reading import RECORDS, compare, read
from index.records import passage_context
from index.records_file import Records, RecordsWriter
from index.sources import Discovery, Rules, discover
from index.split import SplitSettings

if TYPE_CHECKING:
    from index.encoder import Encoder

_BATCH = 64  # passages encoded at once, and the most that a crash loses


@dataclass(frozen=True, slots=True)
class ShareReport:
    """What was read of a share, and how many of its passages had to be encoded."""

    files: int
    chunks: int
    embedded: int


def encode_share(
    home: Path,
    roots: Sequence[Path],
    share: tuple[int, int],
    *,
    encoder: Encoder,
    rules: Rules,
    shared: SharedEmbeddings | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> ShareReport:
    """Encodes the passages of share (number from 1, of how many) of the files under `roots` into the
    cache of `home` and into `shared`. Every file is in exactly one share. Raises SourceError."""
    number, shares = share
    found = discover(roots, limits=rules.limits)
    mine = Discovery(found.files[number - 1 :: shares], [])
    cache = Cache(home / CACHE, shared=shared, giving=True)
    embedded = 0
    try:
        with TemporaryDirectory() as folder:
            writer = RecordsWriter(Path(folder) / RECORDS)
            changes = compare(mine, None)

            def shown(done: int, total: int) -> None:
                progress("read", done, total)

            read(writer, mine, changes, None, rules, SplitSettings(), shown)
            writer.finish()
            records = Records(Path(folder) / RECORDS)
            passages = records.passages(0, writer.chunks)
            for done in range(0, writer.chunks, _BATCH):
                batch = [
                    (passage_context(title, heading), text)
                    for _, title, heading, text in islice(passages, _BATCH)
                ]
                embedded += embed(batch, encoder, cache)[1]
                progress("encode", done + len(batch), writer.chunks)
            records.close()
            return ShareReport(len(mine.files), writer.chunks, embedded)
    finally:
        cache.close()
