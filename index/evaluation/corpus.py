"""The passages of a BEIR set as an index of their own, kept apart from the team's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from index.evaluation.datasets import Dataset
from index.records import Document, Heading, document_id

if TYPE_CHECKING:
    from index.encoder import Encoder

FOLDER = "eval"


def build_corpus(
    home: Path,
    dataset: Dataset,
    *,
    encoder: Encoder | None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, str]:
    """Builds the index of the set's passages in `home`; document id → passage id.

    It is built anew each time, so that it can never be older than the code that is measured; what
    the encoder has read before comes from the cache in `home`. Raises what `index.build` raises.
    """
    from index.build import build

    build(home, documents(dataset), encoder=encoder, keep=1, progress=progress)
    return {document_id(passage.id): passage.id for passage in dataset.passages}


def documents(dataset: Dataset) -> Iterator[Document]:
    """Each passage as a Markdown document with its title for a heading."""
    for passage in dataset.passages:
        head = f"# {passage.title}\n\n" if passage.title else ""
        yield Document(
            id=document_id(passage.id),
            title=passage.title,
            text=f"{head}{passage.text}\n",
            source=passage.id,
            media_type="text/markdown",
            outline=(Heading(0, 1, passage.title),) if passage.title else (),
        )
