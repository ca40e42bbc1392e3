"""Kiku connected to the fake Slack: the real pipeline over a few documents, by Socket Mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
from pydantic import SecretStr

from bot.compose.llm import connect_composer
from bot.settings import Settings, SlackSettings
from bot.slack.app import SlackApp, socket_mode
from bot.store import Store
from bot.wiring import Kiku
from index.build import build_sources
from index.sources import read_rules
from tests.fake_slack import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, FakeSlack

CORPUS = Path(__file__).parent.parent / "corpus" / "documents"
OPEN = ("centos-linux.md", "chroot.md", "containerd.md", "cri-o.md", "debian.md", "dockershim.md")
HANDBOOK = """# 社内ネットワークの手引き

## 無線LANの利用申請

無線LANの利用申請の締め切りは、毎月20日です。申請には所属長の承認が必要です。承認された申請は、翌月1日から有効になります。

## 固定IPアドレス

固定IPアドレスの割り当ては、情報システム課のハヤブサ窓口が担当します。割り当てには3営業日かかります。
"""
PRIVATE = """# 給与規程

## 支払日

給与は毎月25日に支払います。25日が休日のときは、その前の営業日に支払います。

## 賞与

賞与は6月10日と12月10日に支払います。
"""
HOSTILE = """# 障害連絡の手引き <!here>

## 連絡のしかた <@U0ADMIN>

ゾウガメ計画の緊急連絡先は内線4649です <!channel> <@U0ADMIN> @channel :tada: <https://evil.example|ここ> *太字* & < >。
‮逆さ‬
"""


def build_slack_home(place: Path, *, hostile: bool = True) -> Path:
    """A home with a lexical index over open, private and (unless said so) hostile documents."""
    documents = place / "documents"
    (documents / "open").mkdir(parents=True)
    (documents / "personnel").mkdir()
    for name in OPEN:
        (documents / "open" / name).write_bytes((CORPUS / name).read_bytes())
    (documents / "open" / "network.md").write_text(HANDBOOK, "utf-8")
    if hostile:
        (documents / "open" / "hostile.md").write_text(HOSTILE, "utf-8")
    (documents / "personnel" / "salary.md").write_text(PRIVATE, "utf-8")
    rules = read_rules([documents], {"open": ["open/**"], "personnel": ["personnel/**"]})
    build_sources(place / "home", [documents], encoder=None, rules=rules)
    return place / "home"


def slack_settings(slack: FakeSlack, home: Path, place: Path, **values: object) -> Settings:
    """Settings for the fake Slack, with a database in `place`; `values` are those of `[slack]`."""
    return Settings(
        home=home,
        database=f"sqlite:///{place / 'kiku.sqlite'}",
        public_url="https://kiku.example.jp",
        SLACK_BOT_TOKEN=SecretStr(BOT_TOKEN),
        SLACK_APP_TOKEN=SecretStr(APP_TOKEN),
        SLACK_SIGNING_SECRET=SecretStr(SIGNING_SECRET),
        slack_api_url=slack.url,
        slack=SlackSettings(**values),
    )


class Connection:
    """A running Slack app; the socket is open when it is entered."""

    def __init__(self, kiku: Kiku) -> None:
        self.kiku = kiku
        self.app = SlackApp(kiku)
        token = kiku.settings.slack_app_token.get_secret_value()
        self.handler = socket_mode(self.app, token)

    def __enter__(self) -> Connection:
        self.app.start()
        self.handler.connect()
        return self

    def settle(self, slack: FakeSlack, seconds: float = 60.0) -> None:
        """Waits until Slack has its acknowledgements and every delivery is done."""
        ledger = self.app.ledger
        slack.wait_for(lambda: slack.idle and not ledger.unfinished(), seconds)

    def __exit__(self, *_: object) -> None:
        # The SDK takes seconds to end its threads; nothing here depends on their end.
        Thread(target=self.handler.close, daemon=True).start()
        self.app.stop()
        self.kiku.close()


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


@pytest.fixture(scope="session")
def slack_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index over corpus documents (open to all), personnel rules (private) and a document that
    tries to misuse Slack's markup."""
    return build_slack_home(tmp_path_factory.mktemp("slack"))


@pytest.fixture
def connect(
    slack: FakeSlack, slack_home: Path, tmp_path: Path
) -> Iterator[Callable[..., Connection]]:
    """Connects Kiku to the fake Slack; keyword arguments are settings of `[slack]`. May be called
    again for another replica on the same database."""
    with ExitStack() as stack:

        def connect(
            home: Path = slack_home, llm_url: str = "", **slack_values: object
        ) -> Connection:
            settings = slack_settings(slack, home, tmp_path, **slack_values)
            settings.llm_url, settings.llm_model = llm_url, "small"
            composer = connect_composer(settings) if llm_url else None
            kiku = Kiku(settings, None, Store.open(settings.database_url), composer=composer)
            return stack.enter_context(Connection(kiku))

        yield connect
