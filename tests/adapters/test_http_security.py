"""Who may come in, from where, how often, and what they may see."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient

from bot.http.app import check_address
from bot.http.auth import Caller, KeyRing, create_key, presented_key
from bot.logs import configure_logs
from bot.settings import Settings
from index.errors import SettingsError
from index.records import document_id
from tests.fake_kiku import FakeKiku, opened

QUESTION = "CentOSのサポートはいつまで？"
SALARY = document_id("salary.md")


class Keys:
    """A service with three keys: one for manuals, one for everything, one for an administrator."""

    def __init__(self, home: Path) -> None:
        self.manuals, first = create_key("manuals team", ["manuals"])
        self.everything, second = create_key("全部")
        self.admin, third = create_key("admin", admin=True)
        self.kiku = FakeKiku(home, api_keys=f"{first}, {second},{third}")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def client(keys: Keys) -> Iterator[TestClient]:
    with opened(keys.kiku) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_kept_only_as_a_digest() -> None:
    key, entry = create_key("経理:team,a", ["a+b", "規程"])
    assert key not in entry
    assert entry.count(":") == 2
    assert "," not in entry
    caller = KeyRing.parse(entry).find(key)
    assert caller is not None
    assert (caller.name, caller.collections) == ("経理:team,a", frozenset({"a+b", "規程"}))
    assert not caller.admin
    assert KeyRing.parse(entry).find(key + "x") is None
    assert create_key("a")[0] != create_key("a")[0]


@pytest.mark.parametrize("entry", ["sk-plain-secret", "a:b:*", f"a:{'0' * 64}:*:root", ":::"])
def test_a_malformed_key_is_named_but_not_shown(entry: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KeyRing.parse(entry)
    assert "KIKU_API_KEYS" in caught.value.message
    assert entry not in caught.value.message


def test_a_key_needs_a_name_and_something_to_see() -> None:
    with pytest.raises(ValueError, match="name"):
        create_key("")
    with pytest.raises(ValueError, match="collection"):
        create_key("a", [])


def test_a_key_comes_as_bearer_basic_or_header() -> None:
    basic = b64encode("誰でも:secret:key".encode()).decode()
    assert presented_key("Bearer  secret") == "secret"
    assert presented_key(f"Basic {basic}") == "secret:key"
    assert presented_key("", "secret") == "secret"
    assert presented_key("Basic ###") == ""
    assert presented_key("Digest x") == ""


def test_a_caller_sees_what_is_both_allowed_and_asked_for() -> None:
    everything, manuals = Caller(), Caller(collections=frozenset({"manuals", "faq"}))
    assert everything.may_see(None) is None
    assert everything.may_see(["a"]) == {"a"}
    assert manuals.may_see(None) == {"manuals", "faq"}
    assert manuals.may_see(["faq", "personnel"]) == {"faq"}
    assert manuals.may_see(["personnel"]) == frozenset()


def test_without_a_key_nothing_is_told(client: TestClient) -> None:
    for method, path in [
        ("POST", "/ask"), ("POST", "/search"), ("GET", "/documents"), ("GET", "/v1/models"),
        ("POST", "/mcp"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/nope"),
        ("GET", "/"), ("GET", f"/sources/{SALARY}"), ("GET", "/insights/data"),
        ("POST", "/v1/chat/completions"), ("POST", "/feedback"), ("GET", "/suggestions"),
    ]:  # fmt: skip
        reply = client.request(method, path)
        assert reply.status_code == 401, path
        assert reply.json()["error"]["code"] == "key_missing"
        assert reply.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_wrong_key_is_refused(client: TestClient) -> None:
    reply = client.post("/ask", json={"question": QUESTION}, headers=bearer("kiku_wrong"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "key_unknown")


def test_a_browser_is_asked_for_the_key(client: TestClient, keys: Keys) -> None:
    reply = client.get("/", headers={"Accept": "text/html,*/*"})
    assert reply.headers["www-authenticate"].startswith("Basic")
    declined = client.get("/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert (declined.status_code, "<h1>APIキーが必要です。</h1>" in declined.text) == (401, True)
    login = client.get("/", auth=("", keys.manuals))
    assert login.status_code == 200


def test_a_key_sees_only_its_collections(client: TestClient, keys: Keys) -> None:
    narrow, wide = bearer(keys.manuals), bearer(keys.everything)
    hidden = f"/documents/{SALARY}"
    assert client.get(hidden, headers=wide).status_code == 200
    absent = client.get("/documents/0000000000000000", headers=narrow)
    closed = client.get(hidden, headers=narrow)
    assert (closed.status_code, closed.json()) == (404, absent.json()), "as if it were not there"
    assert client.get(f"/sources/{SALARY}", headers=narrow).status_code == 404
    listed = client.get("/documents", headers=narrow).json()
    assert {one["collection"] for one in listed["documents"]} == {"manuals"}
    assert listed["total"] == 2
    hits = client.post("/search", json={"query": "給与"}, headers=narrow).json()["hits"]
    assert all(hit["document_id"] != SALARY for hit in hits)
    answer = client.post("/ask", json={"question": "給与はいつ支払う？"}, headers=narrow).json()
    assert all(citation["document_id"] != SALARY for citation in answer["citations"])
    questions = client.get("/suggestions", headers=narrow).json()["questions"]
    assert not any("給与" in question for question in questions)
    assert client.get("/suggestions", headers=wide).json()["questions"] != questions
    completion = client.post(
        "/v1/chat/completions",
        json={"model": "kiku", "messages": [{"role": "user", "content": "給与はいつ支払う？"}]},
        headers=narrow,
    )
    assert "25日" not in completion.text


def test_asking_for_closed_collections_is_refused(client: TestClient, keys: Keys) -> None:
    body = {"question": "給与は？", "collections": ["personnel"]}
    reply = client.post("/ask", json=body, headers=bearer(keys.manuals))
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "collection_forbidden")
    both = {"question": "給与は？", "collections": ["personnel", "manuals"]}
    assert client.post("/ask", json=both, headers=bearer(keys.manuals)).status_code == 200
    assert keys.kiku.answerer.asked[-1].collections == {"manuals"}


def test_a_conversation_belongs_to_its_key(client: TestClient, keys: Keys) -> None:
    mine, other = bearer(keys.everything), bearer(keys.manuals)
    answer = client.post("/ask", json={"question": QUESTION}, headers=mine).json()
    name = answer["conversation_id"]
    follow_up = {"question": "それは？", "conversation_id": name}
    assert client.post("/ask", json=follow_up, headers=mine).status_code == 200
    assert client.post("/ask", json=follow_up, headers=other).status_code == 404
    assert client.get(f"/conversations/{name}", headers=other).status_code == 404
    assert client.delete(f"/conversations/{name}", headers=other).status_code == 404
    rating = {"answer_id": answer["id"], "rating": "down"}
    assert client.post("/feedback", json=rating, headers=other).status_code == 404
    assert client.get(f"/conversations/{name}", headers=mine).status_code == 200


def test_insights_and_builds_are_for_administrators(client: TestClient, keys: Keys) -> None:
    for method, path in [
        ("GET", "/insights"), ("GET", "/insights/data"), ("POST", "/admin/build"),
        ("GET", "/admin/build"),
    ]:  # fmt: skip
        reply = client.request(method, path, headers=bearer(keys.everything))
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "admins_only")
    assert client.get("/insights/data", headers=bearer(keys.admin)).status_code == 200


def test_metrics_are_for_keys_that_see_everything(client: TestClient, keys: Keys) -> None:
    reply = client.get("/metrics", headers=bearer(keys.manuals))
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "narrow_key")
    assert "kiku_documents" in client.get("/metrics", headers=bearer(keys.everything)).text


def test_without_keys_insights_are_for_this_machine(tmp_path: Path) -> None:
    kiku = FakeKiku(tmp_path, host="0.0.0.0", allow_public_without_keys=True)
    with opened(kiku, client=("192.0.2.7", 1)) as client:
        assert client.post("/ask", json={"question": QUESTION}).status_code == 200
        assert client.get("/insights/data").status_code == 403
        assert client.post("/admin/build").status_code == 403
    with opened(FakeKiku(tmp_path / "b", host="0.0.0.0")) as client:
        assert client.get("/insights/data").status_code == 200
        # A proxy on this machine has a local address, and hands on the name that people use.
        proxied = client.get("/insights/data", headers={"Host": "kiku.example"})
        assert proxied.status_code == 403
        told = client.get("/insights/data", headers={"X-Forwarded-For": "192.0.2.7"})
        assert told.status_code == 403


def test_requests_are_limited_for_each_key(tmp_path: Path) -> None:
    first, one = create_key("one")
    second, two = create_key("two")
    with opened(FakeKiku(tmp_path, api_keys=f"{one},{two}", rate_limit="3/minute")) as client:
        for _ in range(3):
            assert client.get("/documents", headers=bearer(first)).status_code == 200
        reply = client.get("/documents", headers=bearer(first))
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limited")
        assert 1 <= int(reply.headers["retry-after"]) <= 61
        assert client.get("/documents", headers=bearer(second)).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_guessing_keys_is_limited_too(tmp_path: Path) -> None:
    _, entry = create_key("one")
    with opened(FakeKiku(tmp_path, api_keys=entry, rate_limit="2/minute")) as client:
        replies = [client.get("/documents", headers=bearer("wrong")) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [401, 401, 429]


def test_without_keys_strangers_are_limited_and_this_machine_is_not(tmp_path: Path) -> None:
    kiku = FakeKiku(tmp_path, rate_limit="2/minute")
    with opened(kiku, client=("192.0.2.7", 1)) as client:
        codes = [client.get("/documents").status_code for _ in range(3)]
        assert codes == [200, 200, 429]
    with opened(FakeKiku(tmp_path / "b", rate_limit="2/minute")) as client:
        assert {client.get("/documents").status_code for _ in range(5)} == {200}


def test_a_malformed_rate_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="KIKU_RATE_LIMIT"),
        opened(FakeKiku(tmp_path, rate_limit="often")),
    ):
        pass


def test_a_foreign_name_for_this_machine_is_refused(tmp_path: Path) -> None:
    with opened(FakeKiku(tmp_path, public_url="https://kiku.example/")) as client:
        for host, status in {
            "localhost:8000": 200, "127.0.0.1:8000": 200, "[::1]:8000": 200, "kiku.example": 200,
            "KIKU.example:443": 200, "rebound.example": 400, "": 400, "[": 400,
            "localhost.rebound.example": 400,
        }.items():  # fmt: skip
            reply = client.get("/documents", headers={"Host": host})
            assert reply.status_code == status, host
    public = FakeKiku(tmp_path / "b", host="0.0.0.0", allow_public_without_keys=True)
    with opened(public) as client:
        assert client.get("/documents", headers={"Host": "anything"}).status_code == 200


def test_other_sites_cannot_write(tmp_path: Path) -> None:
    with opened(FakeKiku(tmp_path, cors_origins=["https://portal.example"])) as client:
        body = {"question": QUESTION}
        for headers, status in [
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"}, 403),
            ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
            ({"Origin": "http://localhost"}, 200),
            ({"Origin": "https://portal.example", "Sec-Fetch-Site": "cross-site"}, 200),
            ({}, 200),
        ]:
            assert client.post("/ask", json=body, headers=headers).status_code == status, headers


def test_cors_is_off_unless_origins_are_named(tmp_path: Path) -> None:
    asks = {"Origin": "https://portal.example", "Access-Control-Request-Method": "POST"}
    with opened(FakeKiku(tmp_path)) as client:
        assert "access-control-allow-origin" not in client.options("/ask", headers=asks).headers
        reply = client.get("/documents", headers={"Origin": "https://portal.example"})
        assert "access-control-allow-origin" not in reply.headers
    with opened(FakeKiku(tmp_path / "b", cors_origins=["https://portal.example"])) as client:
        reply = client.options("/ask", headers=asks)
        assert reply.headers["access-control-allow-origin"] == "https://portal.example"
        assert "access-control-allow-credentials" not in reply.headers


def test_every_reply_carries_the_security_headers(client: TestClient, keys: Keys) -> None:
    for path, headers in [("/", bearer(keys.admin)), ("/healthz", {}), ("/nope", {})]:
        reply = client.get(path, headers=headers)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert "set-cookie" not in reply.headers


def test_a_large_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 100_000
            yield b"x" * 100_000

    with opened(FakeKiku(tmp_path)) as client:
        reply = client.post("/ask", content=b"x" * 3_000_000)
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")
        assert "content-security-policy" in reply.headers
        for path in ("/ask", "/v1/chat/completions", "/mcp"):
            reply = client.post(path, content=body(), headers={"Content-Type": "application/json"})
            assert reply.status_code == 413, path


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"host": "127.0.0.1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "192.168.1.5"}, False),
        ({"host": "kiku.internal"}, False),
        ({"host": "0.0.0.0", "allow_public_without_keys": True}, True),
        ({"host": "0.0.0.0", "api_keys": create_key("a")[1]}, True),
        ({"host": "0.0.0.0", "api_keys": "  "}, False),
    ],
)
def test_a_public_address_without_keys_is_refused(
    settings: dict[str, object], allowed: bool
) -> None:
    if allowed:
        check_address(Settings(**settings))
        return
    with pytest.raises(SettingsError) as caught:
        check_address(Settings(**settings))
    assert "KIKU_API_KEYS" in caught.value.hint


@pytest.mark.parametrize("shown", [False, True])
def test_the_log_holds_questions_only_where_it_may_and_keys_never(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], shown: bool
) -> None:
    key, entry = create_key("logger")
    kiku = FakeKiku(tmp_path, api_keys=entry, log_questions=shown)
    before = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logs("info")
    try:
        with opened(kiku) as client:
            client.post("/ask", json={"question": QUESTION}, headers=bearer(key))
            client.get("/ask", params={"q": QUESTION}, headers=bearer(key))
            client.get("/ask", params={"q": QUESTION}, headers=bearer("kiku_wrong-secret"))
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])
        structlog.reset_defaults()
    log = capfd.readouterr().err
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"request", "answered"} <= {line["event"] for line in lines}
    assert any(line.get("key") == "logger" for line in lines)
    assert ("CentOS" in log) is shown
    assert key not in log
    assert "wrong-secret" not in log
