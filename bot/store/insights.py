"""What people asked, counted: the figures of `/insights` and of `kiku feedback report`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from bot.store.tables import AnswerRow, CitationRow, RatingRow

LISTED = 50  # rows of each list


def insights(session: Session, days: int) -> dict[str, Any]:
    """The last `days` days, today included, as plain JSON:

    `days` [{date, asked, answered, not_found, up, down}] oldest first, none left out;
    `questions` [{question, asked, answered, last}] the most frequent first,
    `unanswered` [{question, asked, last}], `low_rated` [{question, answer, comment, date}],
    `top_documents` [{title, count}], each at most 50 rows.
    """
    today = datetime.now().astimezone().date()
    first = today - timedelta(days=days - 1)
    since = AnswerRow.day >= first.isoformat()
    return {
        "days": _days(session, first, today),
        "questions": _questions(session, since),
        "unanswered": _unanswered(session, since),
        "low_rated": _low_rated(session, first.isoformat()),
        "top_documents": _top_documents(session, since),
    }


def _days(session: Session, first: date, last: date) -> list[dict[str, Any]]:
    span = range((last - first).days + 1)
    names = ("asked", "answered", "not_found", "up", "down")
    counts: dict[str, dict[str, int]] = {
        (first + timedelta(days=offset)).isoformat(): dict.fromkeys(names, 0) for offset in span
    }
    asked = select(AnswerRow.day, AnswerRow.status, func.count()).group_by(
        AnswerRow.day, AnswerRow.status
    )
    for day, status, count in session.execute(asked.where(AnswerRow.day >= first.isoformat())):
        if day in counts:
            counts[day][status] += count
            counts[day]["asked"] += count
    rated = select(RatingRow.day, RatingRow.rating, func.count()).group_by(
        RatingRow.day, RatingRow.rating
    )
    for day, rating, count in session.execute(rated.where(RatingRow.day >= first.isoformat())):
        if day in counts:
            counts[day][rating] += count
    return [{"date": day, **numbers} for day, numbers in counts.items()]


def _questions(session: Session, since: ColumnElement[bool]) -> list[dict[str, Any]]:
    asked, last = func.count(), func.max(AnswerRow.day)
    answered = func.count().filter(AnswerRow.status == "answered")
    query = (
        select(AnswerRow.question, asked, answered, last)
        .where(since)
        .group_by(AnswerRow.question)
        .order_by(asked.desc(), last.desc(), AnswerRow.question)
        .limit(LISTED)
    )
    return [
        {"question": question, "asked": count, "answered": found, "last": day}
        for question, count, found, day in session.execute(query)
    ]


def _unanswered(session: Session, since: ColumnElement[bool]) -> list[dict[str, Any]]:
    asked, last = func.count(), func.max(AnswerRow.day)
    query = (
        select(AnswerRow.question, asked, last)
        .where(since, AnswerRow.status == "not_found")
        .group_by(AnswerRow.question)
        .order_by(asked.desc(), last.desc(), AnswerRow.question)
        .limit(LISTED)
    )
    return [
        {"question": question, "asked": count, "last": day}
        for question, count, day in session.execute(query)
    ]


def _low_rated(session: Session, first: str) -> list[dict[str, Any]]:
    query = (
        select(AnswerRow.question, AnswerRow.answer, RatingRow.comment, RatingRow.day)
        .join(RatingRow, RatingRow.answer_number == AnswerRow.number)
        .where(RatingRow.rating == "down", RatingRow.day >= first)
        .order_by(RatingRow.rated_at.desc())
        .limit(LISTED)
    )
    return [
        {"question": question, "answer": answer, "comment": comment, "date": day}
        for question, answer, comment, day in session.execute(query)
    ]


def _top_documents(session: Session, since: ColumnElement[bool]) -> list[dict[str, Any]]:
    count = func.count(func.distinct(AnswerRow.number))
    query = (
        select(CitationRow.title, count)
        .join(AnswerRow, AnswerRow.number == CitationRow.answer_number)
        .where(since, AnswerRow.status == "answered")
        .group_by(CitationRow.document_id, CitationRow.title)
        .order_by(count.desc(), CitationRow.title)
        .limit(LISTED)
    )
    return [{"title": title, "count": number} for title, number in session.execute(query)]
