"""An index brought home from a database: built again from its documents, encoded not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from index.build import BuildReport, Progress, build
from index.cache import CACHE, Cache
from index.embedding import identity
from index.engines.contract import Searchable
from index.errors import IndexMismatch
from index.records import passage_context

if TYPE_CHECKING:
    from index.encoder import Encoder

_SAVED_EVERY = 500  # passages


def bring_home(
    generation: Searchable,
    home: Path,
    *,
    encoder: Encoder | None,
    keep: int,
    progress: Progress = lambda stage, done, total: None,
) -> BuildReport:
    """Builds in `home` what an engine holds. The vectors go into the cache, where the build finds
    them; words are analysed anew. The next build of the same files reads them again, since what a
    database holds does not say when they were read.

    Raises IndexMismatch where another encoder made the vectors, and what `build` raises.
    """
    manifest = generation.manifest
    if manifest.encoder != identity(encoder):
        raise IndexMismatch(
            f"この索引はエンコーダー {manifest.encoder.name or 'なし'} で作られていて、いまの設定と違います。",
            hint="KIKU_ENCODER を合わせてください。",
        )
    if encoder is not None:
        cache = Cache(home / CACHE)
        try:
            for number, (chunk, document, embedding) in enumerate(generation.embedded(), 1):
                whole = f"{passage_context(document.title, chunk.heading)}\n{chunk.text}"
                cache.put_embedding(encoder.fingerprint, whole, embedding)
                if number % _SAVED_EVERY == 0:
                    cache.save()
                    progress("copy", number, manifest.chunks)
        finally:
            cache.close()
    found = (generation.document(summary.id) for summary in generation.documents())
    return build(
        home,
        (document for document in found if document is not None),
        encoder=encoder,
        skipped=generation.skipped(),
        keep=keep,
        progress=progress,
    )
