"""What CONTRACT promises over HTTP, asked of the whole application with a small bot behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from fastapi.testclient import TestClient

from bot.errors import StoreUnavailable
from bot.messages.state import WORDS_ONLY
from index.build import BuildReport
from index.errors import BuildRunning
from index.records import Skipped, document_id
from tests.fake_kiku import TEXTS, FakeKiku, FakeRetriever, opened, wait_for

QUESTION = "CentOSのサポートはいつまで？"
CENTOS = document_id("centos.md")


@pytest.fixture
def kiku(tmp_path: Path) -> FakeKiku:
    return FakeKiku(tmp_path)


@pytest.fixture
def client(kiku: FakeKiku) -> Iterator[TestClient]:
    with opened(kiku) as client:
        yield client


def test_an_answer_quotes_its_document_word_for_word(client: TestClient) -> None:
    body = client.post("/ask", json={"question": QUESTION}).json()
    assert body["status"] == "answered"
    assert "2024年6月30日" in body["answer"]
    for citation in body["citations"]:
        text = client.get(f"/documents/{citation['document_id']}").json()["text"]
        assert citation["quote"] == text[citation["start"] : citation["end"]]
        page = client.get(citation["url"])
        assert page.status_code == 200
        assert "<mark" in page.text


def test_the_fields_of_an_answer_are_those_of_the_contract(client: TestClient) -> None:
    body = client.post("/ask", json={"question": QUESTION}).json()
    promised = {"id", "status", "answer", "confidence", "conversation_id", "citations", "took_ms"}
    assert promised <= set(body)
    cited = {"number", "document_id", "title", "heading", "source", "start", "end", "quote"}
    assert cited | {"passage", "score", "url"} <= set(body["citations"][0])


def test_a_bare_get_answers_in_readable_utf8(client: TestClient) -> None:
    reply = client.get("/ask", params={"q": QUESTION})
    assert reply.status_code == 200
    assert "サポートは" in reply.text
    assert "\\u" not in reply.text
    assert reply.text.startswith('{\n  "id"')
    assert reply.text.endswith("}\n")


def test_a_bare_get_takes_what_a_post_takes(client: TestClient, kiku: FakeKiku) -> None:
    query = {"q": QUESTION, "top_k": "2", "collections": ["manuals", "faq"]}
    first = client.get("/ask", params=query).json()
    assert kiku.answerer.asked[-1].top_k == 2
    assert kiku.answerer.asked[-1].collections == {"manuals", "faq"}
    follow_up = {"q": "それは？", "conversation_id": first["conversation_id"]}
    assert client.get("/ask", params=follow_up).status_code == 200
    assert client.get("/ask", params={"q": "a", "top_k": "51"}).status_code == 422


def test_not_found_says_so_and_shows_what_is_near(client: TestClient) -> None:
    body = client.post(
        "/ask", json={"question": "給与とは何の関係もない天体の話をしてください"}
    ).json()
    assert body["status"] == "not_found"
    assert body["citations"]


def test_what_is_asked_reaches_the_bot(client: TestClient, kiku: FakeKiku) -> None:
    history = [{"role": "user", "content": "Podmanとは"}, {"role": "assistant", "content": "…"}]
    client.post(
        "/ask",
        json={
            "question": "誰が作った？",
            "history": history,
            "top_k": 3,
            "collections": ["manuals"],
        },
    )
    asked = kiku.answerer.asked[-1]
    assert [turn.content for turn in asked.history] == ["Podmanとは", "…"]
    assert (asked.top_k, asked.collections, asked.channel) == (3, frozenset({"manuals"}), "http")


def test_the_page_is_told_from_programs(client: TestClient, kiku: FakeKiku) -> None:
    client.post("/ask", json={"question": QUESTION}, headers={"Sec-Fetch-Site": "same-origin"})
    assert kiku.answerer.asked[-1].channel == "page"


def test_the_stream_holds_citations_pieces_and_the_whole_answer(client: TestClient) -> None:
    reply = client.post("/ask/stream", json={"question": QUESTION})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = parse_events(reply.text)
    names = [name for name, _ in events]
    assert names[0] == "citations"
    assert names[-1] == "done"
    assert set(names[1:-1]) == {"token"}
    done = events[-1][1]
    assert "".join(data["text"] for name, data in events if name == "token") == done["answer"]
    assert events[0][1] == done["citations"]
    assert "サポート" in reply.text  # UTF-8 as people read it, in a terminal too


def test_a_stream_that_cannot_begin_has_a_status_of_its_own(
    client: TestClient, kiku: FakeKiku
) -> None:
    kiku.index = None
    reply = client.post("/ask/stream", json={"question": QUESTION})
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "index_missing"


def test_search_ranks_passages(client: TestClient) -> None:
    body = client.post("/search", json={"query": "Podman", "top_k": 2}).json()
    assert [hit["rank"] for hit in body["hits"]] == [1, 2]
    first = body["hits"][0]
    text = client.get(f"/documents/{first['document_id']}").json()["text"]
    assert first["text"] == text[first["start"] : first["end"]]
    assert set(first) == {
        "rank", "document_id", "title", "heading", "source", "start", "end", "text", "score",
        "dense_rank", "lexical_rank", "superseded_by",
    }  # fmt: skip
    assert body["took_ms"] >= 0


def test_a_query_is_no_longer_than_a_question(client: TestClient) -> None:
    reply = client.post("/search", json={"query": "あ" * 5000})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad_question")


def test_a_long_turn_is_cut(client: TestClient, kiku: FakeKiku) -> None:
    history = [{"role": "user", "content": "あ" * 100_000}]
    client.post("/ask", json={"question": QUESTION, "history": history})
    assert len(kiku.answerer.asked[-1].history[0].content) == 4000


def test_documents_are_listed_in_pages(client: TestClient) -> None:
    body = client.get("/documents", params={"limit": 2, "offset": 1}).json()
    assert body["total"] == len(TEXTS)
    assert len(body["documents"]) == 2
    assert body["documents"][0]["source"] == "podman.md"


def test_a_conversation_is_kept_shown_and_forgotten(client: TestClient) -> None:
    first = client.post("/ask", json={"question": QUESTION}).json()
    name = first["conversation_id"]
    assert len(name) >= 22  # 128 bits at least: nobody guesses it
    client.post("/ask", json={"question": "Podmanは？", "conversation_id": name})
    shown = client.get(f"/conversations/{name}").json()
    assert [turn["question"] for turn in shown["turns"]] == [QUESTION, "Podmanは？"]
    assert shown["turns"][0]["answer"]["citations"] == first["citations"]
    assert client.delete(f"/conversations/{name}").status_code == 204
    assert client.get(f"/conversations/{name}").status_code == 404
    assert client.delete(f"/conversations/{name}").status_code == 404


def test_a_conversation_cannot_be_made_up(client: TestClient) -> None:
    reply = client.post("/ask", json={"question": QUESTION, "conversation_id": "abc"})
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "conversation_not_found"


def test_a_rating_replaces_the_one_before(client: TestClient, kiku: FakeKiku) -> None:
    answer = client.post("/ask", json={"question": QUESTION}).json()["id"]
    for rating in ("up", "down"):
        body = {"answer_id": answer, "rating": rating, "comment": "古い"}
        assert client.post("/feedback", json=body).json() == {"answer_id": answer, "rating": rating}
    stored = kiku.store.answer(answer)
    assert stored is not None
    assert [rating.rating for rating in stored.ratings] == ["down"]
    unknown = client.post("/feedback", json={"answer_id": "nope", "rating": "up"})
    assert unknown.status_code == 404


def test_suggestions_are_questions_that_get_an_answer(client: TestClient, kiku: FakeKiku) -> None:
    japanese = client.get("/suggestions").json()["questions"]
    assert "Podmanとは何ですか？" in japanese
    for question in japanese:
        assert client.post("/ask", json={"question": question}).json()["status"] == "answered"
    asked = len(kiku.answerer.asked)
    assert client.get("/suggestions").json()["questions"] == japanese
    assert len(kiku.answerer.asked) == asked, "looked for once a generation"
    english = client.get("/suggestions", headers={"Accept-Language": "en-US,en;q=0.9"}).json()
    assert "What is Podman?" in english["questions"]


def test_suggestions_are_not_remembered_as_questions_of_people(
    client: TestClient, kiku: FakeKiku
) -> None:
    client.get("/suggestions")
    assert sum(day["asked"] for day in kiku.store.insights()["days"]) == 0


def test_without_an_index_the_service_says_what_to_do(client: TestClient, kiku: FakeKiku) -> None:
    kiku.index = None
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["components"]["index"] != "ok"
    for reply in (client.post("/ask", json={"question": QUESTION}), client.get("/documents")):
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (503, "index_missing")
        assert "kiku build" in error["hint"]
        assert int(reply.headers["retry-after"]) > 0
    kiku.index = FakeRetriever()
    assert client.get("/readyz").status_code == 200
    assert client.post("/ask", json={"question": QUESTION}).status_code == 200


def test_without_an_encoder_words_are_still_searched_for(
    client: TestClient, kiku: FakeKiku, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"index": "ok", "encoder": WORDS_ONLY, "store": "ok"}
    monkeypatch.setattr(kiku, "ready", lambda: state)
    reply = client.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (200, "degraded")
    state["store"] = "開けません。"
    assert client.get("/readyz").status_code == 503


def test_an_answer_is_worth_more_than_its_record(
    client: TestClient, kiku: FakeKiku, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("データベースを使えません。")

    monkeypatch.setattr(kiku.store, "record", fail)
    assert client.post("/ask", json={"question": QUESTION}).json()["status"] == "answered"


def test_a_bug_becomes_an_error_without_its_story(client: TestClient, kiku: FakeKiku) -> None:
    kiku.answerer.broken = RuntimeError("secret /etc/shadow")
    reply = client.post("/ask", json={"question": QUESTION})
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "internal_error"
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert reply.headers["x-request-id"]
    assert "content-security-policy" in reply.headers


BAD_QUESTIONS: list[tuple[object, int]] = [
    ({}, 422),
    ({"question": ""}, 422),
    ({"question": " \u3000"}, 422),
    ({"question": 3}, 422),
    ({"question": None}, 422),
    ({"question": "a", "top_k": -1}, 422),
    ({"question": "a", "top_k": 10**9}, 422),
    ({"question": "a", "top_k": 10**400}, 422),
    ({"question": "a", "top_k": "3"}, 422),
    ({"question": "a", "top_k": True}, 422),
    ({"question": "a", "collections": "manuals"}, 422),
    ({"question": "a", "history": [{"role": "system", "content": "x"}]}, 422),
    ({"question": "a", "questoin": "b"}, 422),
    ({"question": "🐳🐳🐳"}, 422),
    ({"question": "\x00\x01"}, 422),
    ({"question": "長い" * 2500}, 422),
    ({"question": "長い" * 100_000}, 422),
    ({"question": "a", "conversation_id": "../../etc"}, 422),
    ([], 422),
    ("text", 422),
    (None, 422),
]


@pytest.mark.parametrize(("body", "status"), BAD_QUESTIONS, ids=lambda value: repr(value)[:40])
def test_a_bad_question_is_refused_in_words(client: TestClient, body: object, status: int) -> None:
    reply = client.post("/ask", json=body)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"code", "message", "hint"}
    assert re.search("[ぁ-ん]", error["message"])


@pytest.mark.parametrize(("path", "name"), [("/ask", "question"), ("/search", "query")])
@pytest.mark.parametrize(
    ("text", "reads", "words"),
    [
        ("x" * 5000, "ja", "too long"),
        ("長い" * 2500, "en", "長すぎます"),
        ("？！", "en", "no words"),
        ("？！", "ja", "言葉"),
    ],
)
def test_a_bad_question_is_refused_in_its_own_language(
    client: TestClient, path: str, name: str, text: str, reads: str, words: str
) -> None:
    reply = client.post(path, json={name: text}, headers={"Accept-Language": reads})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad_question")
    assert words in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"question": "a"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"question": ' + b"9" * 5000 + b"}",
        b'{"question": "\\ud800"}',
        b'{"\\ud800": 1}',
        b"question=a",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_not_json_is_refused_in_words(client: TestClient, raw: bytes) -> None:
    reply = client.post("/ask", content=raw, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 422), reply.text
    assert reply.json()["error"]["message"]


def test_a_form_is_not_json(client: TestClient) -> None:
    reply = client.post("/ask", data={"question": "a"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad_json")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/documents/nope", 404),
        ("GET", "/documents/%00", 404),
        ("GET", "/sources/nope", 404),
        ("GET", "/sources/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("GET", "/static/%2e%2e/%2e%2e/settings.py", 404),
        ("GET", "/static/../../settings.py", 404),
        ("PUT", "/ask", 405),
        ("PATCH", "/conversations/a", 405),
        ("DELETE", "/documents", 405),
        ("GET", f"/sources/{CENTOS}?start=a", 422),
        ("GET", "/ask", 422),
        ("GET", "/documents?limit=0", 422),
    ],
)
def test_every_error_has_the_same_shape(
    client: TestClient, method: str, path: str, status: int
) -> None:
    reply = client.request(method, path)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"code", "message", "hint"}


def test_the_methods_of_an_address_are_named(client: TestClient) -> None:
    assert client.put("/ask").headers["allow"].split(", ") == ["POST", "GET"]
    assert client.put("/conversations/a").headers["allow"].split(", ") == ["GET", "DELETE"]


def test_errors_speak_english_to_those_who_prefer_it(client: TestClient) -> None:
    english = client.get("/nope", headers={"Accept-Language": "en-US,en;q=0.9,ja;q=0.8"})
    assert english.json()["error"]["message"] == "Not found."
    japanese = client.get("/nope", headers={"Accept-Language": "ja,en;q=0.5"})
    assert japanese.json()["error"]["message"] == "見つかりません。"
    odd = client.get("/nope", headers={"Accept-Language": "en;q=x,*;q=0.5,;"})
    assert odd.status_code == 404


def test_a_source_page_takes_any_offsets(client: TestClient) -> None:
    for query in ("", "?start=0&end=5", "?start=90000&end=100000", "?start=5&end=1"):
        assert client.get(f"/sources/{CENTOS}{query}").status_code == 200


def test_a_request_keeps_the_id_that_it_came_with(client: TestClient) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    forged = client.get("/healthz", headers={"X-Request-ID": "a b\tc"})
    assert re.fullmatch("[0-9a-f]{32}", forged.headers["x-request-id"])


def test_metrics_count_what_happened(client: TestClient) -> None:
    answer = client.post("/ask", json={"question": QUESTION}).json()
    client.post("/feedback", json={"answer_id": answer["id"], "rating": "up"})
    client.get("/documents/one"), client.get("/documents/two")
    text = client.get("/metrics").text
    assert "# TYPE kiku_stage_seconds histogram" in text
    answered = 'kiku_answers_total{channel="http",composer="extractive",status="answered"} 1.0'
    assert answered in text
    assert 'kiku_feedback_total{rating="up"} 1.0' in text
    assert "kiku_index_age_seconds " in text
    route = 'kiku_requests_total{method="GET",route="/documents/{document_id}",status="404"} 2.0'
    assert route in text
    assert QUESTION not in text


def test_the_documentation_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    for address in addresses:
        assert address.startswith("/")
    for address in (one for one in addresses if one.startswith("/docs/")):
        assert client.get(address).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "'sha256-" in policy


def test_every_route_is_described(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    promised = {
        "/ask", "/ask/stream", "/search", "/documents", "/documents/{document_id}",
        "/sources/{document_id}", "/feedback", "/v1/chat/completions", "/v1/models",
        "/conversations/{conversation_id}", "/suggestions", "/healthz", "/readyz", "/metrics",
        "/insights/data", "/admin/build",
    }  # fmt: skip
    assert promised <= set(document["paths"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path} does not say what it does"
            assert "HTTPValidationError" not in json.dumps(operation)
            told = operation["responses"].get("200", {}).get("content", {})
            assert {} not in [kind.get("schema") for kind in told.values()], path
    assert document["components"]["schemas"]["AskBody"]["examples"]


def test_the_pages_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "<html" in page.text.lower()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/insights").status_code == 200
    figures = client.get("/insights/data").json()
    lists = {"days", "questions", "unanswered", "low_rated", "top_documents"}
    assert set(figures) == lists
    assert len(figures["days"]) == 30
    assert len(client.get("/insights/data", params={"days": 7}).json()["days"]) == 7
    assert client.get("/insights/data", params={"days": 0}).status_code == 422


def test_a_page_that_cannot_be_opened_says_so_as_a_page(client: TestClient, kiku: FakeKiku) -> None:
    opening = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html,*/*", "Accept-Language": "en"}
    gone = client.get("/sources/0000000000000000", headers=opening)
    assert gone.status_code == 404
    assert gone.headers["content-type"].startswith("text/html")
    assert "<h1>There is no such document.</h1>" in gone.text
    assert "default-src 'none'" in gone.headers["content-security-policy"]
    wrong = client.get("/sources/x?start=<b>", headers=opening)
    assert (wrong.status_code, "<b>" in wrong.text) == (422, False)
    kiku.index = None
    missing = client.get(f"/sources/{CENTOS}", headers=opening)
    assert (missing.status_code, "kiku build" in missing.text) == (503, True)
    assert "Retry-After" in missing.headers
    # A script of the page, and whatever is no page, get JSON.
    script = client.get(f"/sources/{CENTOS}", headers=opening | {"Sec-Fetch-Mode": "cors"})
    assert script.json()["error"]["code"] == "index_missing"
    assert client.get("/documents/x", headers=opening).json()["error"]["code"] == "index_missing"


def test_the_index_is_rebuilt_on_request(client: TestClient, kiku: FakeKiku) -> None:
    assert client.post("/admin/build").json()["error"]["code"] == "rebuild_unavailable"
    may_end = Event()
    built: list[int] = []

    def rebuild() -> BuildReport:
        may_end.wait(10)
        built.append(1)
        skipped = (Skipped("a.pdf", "scanned", "画像です。"),)
        return BuildReport("g2", 3, 12, 5, skipped, 0.1, read=2)

    kiku.rebuild = rebuild  # type: ignore[attr-defined]
    assert client.get("/admin/build").json()["state"] == "idle"
    for _ in range(2):  # the second finds the first under way
        reply = client.post("/admin/build")
        assert (reply.status_code, reply.json()["state"]) == (202, "running")
    may_end.set()
    wait_for(lambda: client.get("/admin/build").json()["state"] == "done")
    assert built == [1]
    told = client.get("/admin/build").json()
    assert told.pop("finished_at") >= told.pop("started_at") > "2026"
    assert told == {
        "state": "done", "message": "", "documents": 3, "passages": 12, "read": 2, "embedded": 5,
        "skipped": 1,
    }  # fmt: skip


def test_a_build_that_fails_says_why(client: TestClient, kiku: FakeKiku) -> None:
    def rebuild() -> None:
        raise BuildRunning("別のビルドが動いています。")

    kiku.rebuild = rebuild  # type: ignore[attr-defined]
    client.post("/admin/build")
    wait_for(lambda: client.get("/admin/build").json()["state"] == "failed")
    assert "別のビルド" in client.get("/admin/build").json()["message"]


def test_the_bot_is_closed_with_the_service(kiku: FakeKiku) -> None:
    with opened(kiku):
        assert not kiku.closed
    assert kiku.closed


def parse_events(text: str) -> list[tuple[str, object]]:
    """The events of a stream: name and JSON."""
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line[1:])
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events
