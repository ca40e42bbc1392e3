"""What goes over the wire, as pydantic models: the OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bot.records import Answer
from index.records import Document, DocumentSummary, Hit

MAX_TOP_K = 50
MAX_HISTORY = 100
_EXAMPLE_QUESTION = "CentOSのサポートはいつまでですか？"
_NEWER = "id of a newer version of the document, empty where this is the newest"
# What a JSON string can hold of real text: no lone surrogate, and something beside white space.
_NOT_BLANK = r"\S"


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 4.0 is an integer there."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, Field(min_length=1, pattern=_NOT_BLANK)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_NOT_BLANK)]
ConversationId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]
TopK = Annotated[
    int,
    Field(strict=True, ge=1, le=MAX_TOP_K, description="how many, at most"),
    BeforeValidator(_whole),
]
Mode = Literal["hybrid", "dense", "lexical"]


class _Request(BaseModel):
    """A request says nothing that the service does not know: a misspelt field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TurnBody(_Request):
    """One message of a conversation."""

    role: Literal["user", "assistant"] = Field(description="who said it")
    content: str = Field(description="what was said; of a long text only its beginning counts")


class AskBody(_Request):
    """A question, and what it follows on from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"question": _EXAMPLE_QUESTION, "top_k": 3}]}
    )

    question: Text = Field(description="the question, in Japanese or English")
    conversation_id: ConversationId | None = Field(
        None, description="from an earlier answer: the question is a follow-up"
    )
    history: list[TurnBody] = Field(
        default_factory=list,
        max_length=MAX_HISTORY,
        description="the turns before, oldest first; wins over the stored conversation",
    )
    top_k: TopK | None = Field(None, description="citations, at most")
    collections: list[Name] | None = Field(
        None, max_length=100, description="look only in these; without it, in all that you may see"
    )


class SearchBody(_Request):
    """A query for passages."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "サポート期限", "top_k": 10, "mode": "hybrid"}]}
    )

    query: Text = Field(description="what to look for")
    top_k: TopK = Field(10, description="passages, at most")
    mode: Mode = Field("hybrid", description="by words, by meaning, or both")
    collections: list[Name] | None = Field(None, max_length=100, description="look only in these")


class FeedbackBody(_Request):
    """What somebody thinks of an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"answer_id": "5d0c…", "rating": "down", "comment": "古い情報です"}]
        }
    )

    answer_id: Name = Field(description="`id` of the answer")
    rating: Literal["up", "down"] = Field(description="👍 or 👎")
    comment: str = Field("", max_length=4000, description="in your own words")


class _Response(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CitationBody(_Response):
    """A quoted piece of a document: `quote` is `text[start:end]` of `GET /documents/{document_id}`,
    in Unicode code points."""

    number: int = Field(description="the [n] of the answer", examples=[1])
    document_id: str
    title: str = Field(examples=["CentOSの終了と移行先"])
    heading: list[str] = Field(description="the headings above it, outermost first")
    source: str = Field(description="path or address of the document")
    start: int
    end: int
    quote: str
    passage: str = Field(description="the passage around the quote")
    passage_start: int = Field(description="where the passage begins in the document")
    score: float = Field(description="0…1")
    url: str = Field(description="opens the document at the quote")
    link: str = Field(description="the document's own address, empty if unknown")
    page: int | None = Field(description="page of a paged document, from 1")
    date: str = Field(description="ISO 8601, empty if unknown")
    collection: str
    superseded_by: str = Field(description=_NEWER)


class AnswerBody(_Response):
    """An answer with the passages it stands on."""

    id: str
    status: Literal["answered", "not_found"]
    answer: str = Field(examples=["CentOS Linux 7のサポートは2024年6月30日に終わりました。[1]"])
    confidence: float = Field(description="probability (0…1) that the documents answer")
    conversation_id: str = Field(description="send it with the next question to follow up")
    citations: list[CitationBody]
    took_ms: float
    language: Literal["ja", "en"]
    composer: Literal["extractive", "llm"]

    @classmethod
    def of(cls, answer: Answer) -> AnswerBody:
        """The body of `POST /ask`, and what `kiku ask --json` prints."""
        return cls.model_validate(answer)


class HitBody(_Response):
    """A passage found; a rank is null where that leg did not find it."""

    rank: int
    document_id: str
    title: str
    heading: list[str]
    source: str
    start: int
    end: int
    text: str
    score: float
    dense_rank: int | None
    lexical_rank: int | None
    superseded_by: str = Field(description=_NEWER)

    @classmethod
    def of(cls, rank: int, hit: Hit) -> HitBody:
        chunk, document = hit.chunk, hit.document
        return cls(
            rank=rank,
            document_id=document.id,
            title=document.title,
            heading=list(chunk.heading),
            source=document.source,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            score=hit.score,
            dense_rank=hit.dense_rank,
            lexical_rank=hit.lexical_rank,
            superseded_by=document.superseded_by,
        )


class SearchResult(_Response):
    """The passages found, best first."""

    hits: list[HitBody]
    took_ms: float


class DocumentListed(_Response):
    """A document without its text."""

    id: str
    title: str
    source: str
    collection: str
    date: str
    url: str
    characters: int
    chunks: int = Field(description="its passages")
    superseded_by: str = Field(description=_NEWER)

    @classmethod
    def of(cls, summary: DocumentSummary) -> DocumentListed:
        return cls.model_validate(summary)


class DocumentList(_Response):
    """The documents that you may see."""

    documents: list[DocumentListed]
    total: int = Field(description="how many there are, listed here or not")


class HeadingBody(_Response):
    """A heading: where its line starts, how deep it lies (1 = top)."""

    start: int
    level: int
    title: str


class DocumentBody(_Response):
    """A document; the offsets of citations and hits refer to `text`."""

    id: str
    title: str
    text: str
    source: str
    collection: str
    date: str
    url: str
    tags: list[str]
    media_type: str
    outline: list[HeadingBody]
    pages: list[int] = Field(description="the offset at which each page starts")
    superseded_by: str = Field(description=_NEWER)

    @classmethod
    def of(cls, document: Document) -> DocumentBody:
        return cls.model_validate(document)


class Rated(_Response):
    """The rating that is kept now."""

    answer_id: str
    rating: Literal["up", "down"]


class TurnShown(_Response):
    """A question of a conversation and the answer it got."""

    question: str
    answer: AnswerBody
    asked_at: str = Field(description="ISO 8601, UTC")


class ConversationBody(_Response):
    """A conversation, oldest question first."""

    id: str
    created_at: str
    updated_at: str
    turns: list[TurnShown]


class Suggestions(_Response):
    """Questions to start with, which the documents answer."""

    questions: list[str] = Field(examples=[["Podmanとは何ですか？"]])


class Alive(_Response):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(_Response):
    """Whether questions can be answered; each component says `ok` or what is wrong with it.

    `degraded` answers too, by words alone because the encoder is missing.
    """

    status: Literal["ready", "degraded", "not_ready"]
    components: dict[str, str]
    generation: str = Field(description="the index generation that is served, empty if none")


class BuildState(_Response):
    """Where a build of the index stands; what it found, once it is done."""

    state: Literal["idle", "running", "done", "failed"]
    started_at: str = ""
    finished_at: str = ""
    message: str = ""
    documents: int = 0
    passages: int = 0
    read: int = Field(0, description="files that were new or had changed")
    embedded: int = Field(0, description="passages that the encoder had to read")
    skipped: int = Field(0, description="files that could not be read; `kiku documents skipped`")


class ErrorDetail(BaseModel):
    """What went wrong: `code` for machines, `message` and `hint` for people."""

    code: str = Field(examples=["bad_request"])
    message: str = Field(examples=["questionが空です。"])
    hint: str = Field("", examples=["質問を入れてください。"])


class ErrorBody(BaseModel):
    """Every error looks like this."""

    error: ErrorDetail
