"""What people asked, for those who look after the documents: the figures of the page `/insights`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from bot.http.depends import AnAdmin, TheService
from bot.http.operations import REFUSED
from bot.http.routes import ERRORS

router = APIRouter(tags=["operations"])


class DayOfQuestions(BaseModel):
    """What was asked and rated on one day."""

    date: str
    asked: int
    answered: int
    not_found: int
    up: int
    down: int


class AskedQuestion(BaseModel):
    """A question that people asked."""

    question: str
    asked: int = Field(description="how often")
    answered: int = Field(description="how often of these there was an answer")
    last: str = Field(description="the last time")


class UnansweredQuestion(BaseModel):
    """A question that the documents did not answer."""

    question: str
    asked: int = Field(description="how often")
    last: str = Field(description="the last time")


class LowRatedAnswer(BaseModel):
    """An answer that somebody gave 👎."""

    question: str
    answer: str
    comment: str
    date: str


class CitedDocument(BaseModel):
    """How often a document was cited."""

    title: str
    count: int


class Insights(BaseModel):
    """What people asked, day by day, and what to mend."""

    days: list[DayOfQuestions]
    questions: list[AskedQuestion]
    unanswered: list[UnansweredQuestion]
    low_rated: list[LowRatedAnswer]
    top_documents: list[CitedDocument]


@router.get("/insights/data", responses=REFUSED | {422: ERRORS[422]}, response_model=Insights)
def insights(
    service: TheService,
    _: AnAdmin,
    days: Annotated[int, Query(ge=1, le=366, description="how far back, today included")] = 30,
) -> dict[str, Any]:
    """What people asked in the last days, what had no answer, and how answers were rated."""
    return service.kiku.store.insights(days)
