"""How long a build takes: first, with nothing changed, with ten files changed; and how fast files are read.

    python -m benchmarks.ingest SECTIONS.jsonl.gz [--documents 10000] [--encoder random]

SECTIONS holds real Japanese text, one JSON object a line with `title`, `heading` and `text`. From it
Markdown files are made of some sections each. The encoder is left out (`none`), replaced by random
vectors of its shape (`random`), or the shipped one (`kiku`). Prints one JSON object; seconds are of
the wall clock, and of the processor for a machine that has other work too; memory is the peak of the
process in MiB: `own_peak_mib` what is nobody else's, `peak_mib` with the files that it maps, whose
pages the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from index.build import build_sources
from index.encoder import Encoding, load_encoder
from index.sources import Loader, discover
from index.split import split

SECTIONS_EACH = 5  # sections of a document: some 2,000 characters
CHANGED = 10


class RandomEncoder:
    """Vectors of the shipped encoder's shape that mean nothing: what is measured is the rest."""

    name = "random"
    fingerprint = "random"
    dimension = 384
    token_dimension = 64
    max_tokens = 384
    reader = None

    def encode_documents(self, texts: Sequence[str]) -> Encoding:
        """Random unit vectors, one more for every 30 characters, as clauses are long, and a token for
        every two characters, 382 at most."""
        random = np.random.default_rng(len(texts))
        parts = [self._units(random, 1 + len(text) // 30) for text in texts]
        vectors = self._units(random, len(texts))
        counts = [min(382, len(text) // 2) for text in texts]
        tokens = [
            random.uniform(-1, 1, (n, self.token_dimension)).astype(np.float32) for n in counts
        ]
        offsets = [np.arange(2 * n, dtype=np.int32).reshape(-1, 2) for n in counts]
        return Encoding(vectors, tokens, [np.ones(n, np.float32) for n in counts], offsets, parts)

    def _units(self, random: np.random.Generator, rows: int) -> np.ndarray:
        vectors = random.standard_normal((rows, self.dimension), np.float32)
        units: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return units

    encode_queries = encode_documents


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", type=Path)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--encoder", choices=("none", "random", "kiku"), default="random")
    chosen = parser.parse_args()
    encoder: Any = {"none": lambda: None, "random": RandomEncoder, "kiku": load_encoder}[
        chosen.encoder
    ]()
    with tempfile.TemporaryDirectory() as folder:
        print(
            json.dumps(measure(Path(folder), chosen.sections, chosen.documents, encoder), indent=1)
        )


def measure(folder: Path, sections: Path, documents: int, encoder: Any) -> dict[str, Any]:
    """All figures, by name."""
    root, home = folder / "documents", folder / "home"
    own = OwnMemory()
    size = write_documents(root, sections, documents)
    time.sleep(2.1)  # files younger than that are read again, to be sure; see index.reading
    figures: dict[str, Any] = {
        "machine": platform.machine(), "documents": documents, "megabytes": round(size / 1e6, 1),
        "read_and_split_mb_per_s": round(size / 1e6 / reading(root), 1),
    }  # fmt: skip
    figures["first_build"] = build(home, root, encoder)
    figures["nothing_changed"] = build(home, root, encoder)
    changed = sorted(root.rglob("*.md"))[:: max(1, documents // CHANGED)][:CHANGED]
    for path in changed:
        path.write_text(
            path.read_text(encoding="utf-8") + "\n## 追記\n\n一文を書き足した。\n", encoding="utf-8"
        )
    figures["ten_changed"] = build(home, root, encoder)
    (changed[0]).rename(changed[0].with_name("renamed.md"))
    changed[1].unlink()
    figures["one_renamed_one_deleted"] = build(home, root, encoder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["own_peak_mib"] = own.peak_mib
    figures["peak_mib"] = round(peak / (1024 if sys.platform != "darwin" else 2**20))
    return figures


class OwnMemory:
    """The most memory that was the process's alone, looked at every 20 ms: the system keeps no peak of
    it. 0 where the system does not tell, which is everywhere but on Linux."""

    def __init__(self) -> None:
        self.peak_mib = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while status.is_file():
            kib = re.search(r"^RssAnon:\s+(\d+) kB", status.read_text(), re.MULTILINE)
            self.peak_mib = max(self.peak_mib, round(int(kib[1]) / 1024) if kib else 0)
            time.sleep(0.02)


def write_documents(root: Path, sections: Path, documents: int) -> int:
    """Writes Markdown files of SECTIONS_EACH sections into 100 folders; their size in bytes."""
    with gzip.open(sections, "rt", encoding="utf-8") as lines:
        known = [json.loads(line) for line in lines]
    source = cycle(known)
    size = 0
    for number in range(documents):
        parts = list(islice(source, SECTIONS_EACH))
        body = "\n\n".join(f"## {part['heading']}\n\n{part['text']}" for part in parts)
        # beyond the number of sections, texts repeat: the number keeps every passage a text of its own
        text = f"---\ntitle: {json.dumps(parts[0]['title'], ensure_ascii=False)}\n---\n# 文書 {number}\n\n{body}\n"
        path = root / f"{number % 100:02}" / f"{number:06}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        size += len(text.encode())
    return size


def reading(root: Path) -> float:
    """Seconds of the processor to read and split everything."""
    started = time.process_time()
    for _ in passages(root):
        pass
    return time.process_time() - started


def passages(root: Path) -> Iterator[int]:
    """The number of passages of each document."""
    with Loader() as loader:
        for file in discover([root]).files:
            for document in loader.load(file).documents:
                yield len(split(document))


def build(home: Path, root: Path, encoder: Any) -> dict[str, Any]:
    """The figures of a build, whose stages are shown on stderr."""
    started, began = time.monotonic(), time.process_time()
    last = ""

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        if stage != last:
            print(f"{time.monotonic() - started:7.1f} s  {stage}", file=sys.stderr)
            last = stage

    report = build_sources(home, [root], encoder=encoder, progress=progress)
    return {
        "seconds": round(report.seconds, 2),
        "processor_seconds": round(time.process_time() - began, 2),
        "passages": report.chunks,
        "files_read": report.read,
        "embedded": report.embedded,
    }


if __name__ == "__main__":
    main()
