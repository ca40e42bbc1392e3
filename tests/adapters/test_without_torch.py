"""What the image does, where torch cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from index.encoder import load_encoder
from index.errors import EncoderUnavailable

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "corpus" / "documents"

WITHOUT_TORCH = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "sentence_transformers", "sklearn"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from pathlib import Path
from fastapi.testclient import TestClient
from bot.http.app import create_app
from bot.settings import load_settings
from bot.wiring import build_index, connect, open_encoder
import bot.cli, bot.slack.app
settings = load_settings({"home": Path(sys.argv[1])})
encoder, _ = open_encoder(settings)
build_index(settings, [Path(sys.argv[2])], encoder=encoder)
with TestClient(create_app(connect(settings)), base_url="http://localhost") as client:
    answer = client.post("/ask", json={"question": "rktとは何ですか？"}).json()
print(bool(encoder), answer["citations"][0]["source"])
"""


def test_what_the_image_does_works_without_torch(tmp_path: Path) -> None:
    try:
        load_encoder("", threads=1)
        has_encoder = True
    except EncoderUnavailable:
        has_encoder = False
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path), str(CORPUS / "rkt.md")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == [str(has_encoder), "rkt.md"]
