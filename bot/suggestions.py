"""Questions to begin with, which the documents answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bot.messages import answers as messages
from bot.records import Answer, Language, Question

if TYPE_CHECKING:
    from index.retrieve import Retriever

WANTED = 4
DOCUMENTS_TRIED = 12  # until there are as many questions
HEADINGS_TRIED = 2
TITLE_CHARS = 40
_SUBTITLE = re.compile(r"[：:（(|｜―—–]| - ")
# Of 「コンテナの歴史」 nobody asks what it is.
_PHRASE = re.compile("[をのへにがでと]|から|まで|する|方$|法$|順$")
Collections = frozenset[str] | None


class Suggestions:
    """Questions about the documents, looked for once a generation and kind of reader."""

    def __init__(
        self, retriever: Callable[[], Retriever], try_out: Callable[[Question], Answer]
    ) -> None:
        """`retriever` gives the current one; `try_out` answers a question without keeping it."""
        self._retriever = retriever
        self._try_out = try_out
        self._found: tuple[object, list[str]] = None, []

    def __call__(self, collections: Collections, language: Language) -> list[str]:
        """At most four questions that `collections` answer. Raises IndexMissing and the like."""
        retriever = self._retriever()
        wanted = (retriever.generation, collections, language)
        if self._found[0] != wanted:
            self._found = wanted, self._look(retriever, collections, language)
        return self._found[1]

    def _look(
        self, retriever: Retriever, collections: Collections, language: Language
    ) -> list[str]:
        documents = [one for one in retriever.documents(collections) if not one.superseded_by]
        step = max(1, len(documents) // WANTED)
        spread = [one for first in range(step) for one in documents[first::step]]
        found: list[str] = []
        for document in spread[:DOCUMENTS_TRIED]:
            for question in _about(retriever, document.id, document.title, language):
                asked = Question(question, collections=collections, top_k=1)
                if self._try_out(asked).status == "answered":
                    found.append(question)
                    break
            if len(found) == WANTED:
                break
        return found


def _about(retriever: Retriever, document_id: str, title: str, language: Language) -> Iterator[str]:
    """What one could ask of a document: what its title names, then what its headings say."""
    name = _SUBTITLE.split(title.strip())[0].strip()
    if 0 < len(name) <= TITLE_CHARS:
        yield _question(name, language)
    document = retriever.document(document_id)
    headings = [one.title for one in document.outline if one.level > 1] if document else []
    for heading in [one for one in headings if len(one) <= TITLE_CHARS][:HEADINGS_TRIED]:
        yield _question(heading, language)


def _question(topic: str, language: Language) -> str:
    """A title as somebody would ask for it."""
    if topic.endswith(("か", "？", "?")):
        return topic
    name = topic.removesuffix("とは")
    if name == topic and _PHRASE.search(topic):
        return messages.tell_about(topic, language)
    return messages.what_is(name, language)
