"""Fixtures that several test files share: indexes over the corpus, and a bot over the small one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import settings

from bot.cli import main
from bot.settings import Settings
from bot.store import Store
from bot.wiring import Kiku
from index.build import build_sources
from index.encoder import Encoder, load_encoder
from index.errors import EncoderUnavailable
from index.lexical import analyzer_version
from index.split import SplitSettings
from tests.fake_encoder import FakeEncoder

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "corpus" / "documents"
FEW = (
    "centos-linux.md",
    "chroot.md",
    "containerd.md",
    "cri-o.md",
    "debian.md",
    "dockershim.md",
    "kubelet-runtime-versions.md",
)

# Continuous integration judges a change, not the luck of the draw; everywhere else examples are new
# at every run.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def fake_encoder() -> FakeEncoder:
    """The encoder of `built_home`."""
    return FakeEncoder()


@pytest.fixture(scope="session")
def few_documents() -> list[Path]:
    """A handful of corpus documents."""
    return [CORPUS / name for name in FEW]


@pytest.fixture(scope="session")
def built_home(
    tmp_path_factory: pytest.TempPathFactory, few_documents: list[Path], fake_encoder: FakeEncoder
) -> Path:
    """A home with an index over `few_documents`. Shared: tests that write copy it first."""
    home = tmp_path_factory.mktemp("kiku")
    build_sources(home, few_documents, encoder=fake_encoder)
    return home


@pytest.fixture(scope="session")
def lexical_home(tmp_path_factory: pytest.TempPathFactory, few_documents: list[Path]) -> Path:
    """The same without vectors: the command line can use it with whatever encoder is installed."""
    home = tmp_path_factory.mktemp("kiku-lexical")
    build_sources(home, few_documents, encoder=None)
    return home


@pytest.fixture
def kiku(built_home: Path, fake_encoder: FakeEncoder, tmp_path: Path) -> Iterator[Kiku]:
    """A composed bot over `built_home`, with a database of its own."""
    settings = Settings(
        home=built_home,
        database=f"sqlite:///{tmp_path / 'kiku.sqlite'}",
        synonyms=ROOT / "corpus" / "synonyms.toml",
    )
    kiku = Kiku(settings, fake_encoder, Store.open(settings.database_url))
    yield kiku
    kiku.close()


@pytest.fixture(scope="session")
def shipped_encoder() -> Encoder:
    """The encoder that comes with Kiku; skips where its model folder is missing."""
    try:
        return load_encoder("", threads=2)
    except EncoderUnavailable as error:
        pytest.skip(f"the shipped encoder is not there: {error.message}")


@pytest.fixture(scope="session")
def corpus_home(request: pytest.FixtureRequest, shipped_encoder: Encoder) -> Path:
    """A home with an index over all of corpus/documents, made by the shipped encoder.

    It is kept in pytest's cache under a digest of what it is made from; vectors of unchanged
    passages are kept beside it, so that an edited corpus costs little.
    """
    assert request.config.cache is not None
    home = request.config.cache.mkdir("kiku-corpus")
    digest = sha256(
        f"{shipped_encoder.fingerprint} {analyzer_version()} {SplitSettings()}".encode()
    )
    for path in (*sorted(CORPUS.iterdir()), *sorted((ROOT / "index").glob("*.py"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    stamp = home / "made-from"
    if not stamp.is_file() or stamp.read_text() != digest.hexdigest():
        build_sources(home, [CORPUS], encoder=shipped_encoder)
        stamp.write_text(digest.hexdigest())
    return home


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str


Cli = Callable[..., Ran]
NO_ENCODER = "意味検索は使えません。"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Runs `kiku …` in this process, in an empty folder, with its home there and no settings.

    There is no encoder: `cli("ask", "…")` searches words. `stdin` is what is typed.
    """
    for name in list(os.environ):
        if name.startswith(("KIKU_", "SLACK_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIKU_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("bot.wiring.open_encoder", lambda settings: (None, NO_ENCODER))

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["kiku", *arguments])
        monkeypatch.setattr(sys, "stdin", StringIO(stdin))
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        return Ran(status, *capsys.readouterr())

    return run
