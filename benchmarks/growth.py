"""What grows with the documents: builds, answers and memory from 1,000 passages to a million.

    python -m benchmarks.growth DATA [--passages 1000 10000 100000 1000000] [--encoded 100000] [--save]

DATA is a folder with jsquad-valid, jaquad-train, sections and parallel segments. The passages of
JSQuAD-valid come first, whose questions are asked, then other real Japanese text (see
`benchmarks.peers.passages`); `--encoded` of them are encoded by the shipped encoder. Past those, a
passage is the first half of one and the second half of another, cut between clauses, with the vectors
of those clauses and noise of a fifth of their length: as many words as real text has, in new
passages, at the price of copying. Every size is built and asked in a process of its own, so that
memory is its own. Prints one JSON object a size:

- `build_s`, `vectors`: with nothing cached, and which index was chosen; encoding is not counted
- `open_s`: from a process that has imported Kiku to its first answer; `p50_ms`, `p95_ms`: an answer
- `resident_mib`: after the questions, mapped files included; `own_mib`: without them
- `recall_at_10`: of the vectors, against all of them compared exactly; `first`: right passage first
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from benchmarks.peers.passages import large
from index.encoder import Encoding, load_encoder
from index.parts import part_ends
from index.records import Document, Heading, document_id
from index.split import SplitSettings

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = 10  # passages of a document
TOGETHER = 256  # passages that are encoded at once
SHIFT = 0.5  # of the difference that vectors are moved by
WARM = 50  # questions before the clock starts
ASKED = 300
LONGEST = 1000  # characters of a section, which is one passage
COMPARED = 100  # questions whose vectors are compared with all others
_NUMBER = re.compile(r"〔(\d+)〕")


@dataclass(frozen=True)
class Piece:
    """A text with the vectors of its clauses and of its tokens, and where those begin."""

    text: str
    parts: np.ndarray
    tokens: np.ndarray
    starts: np.ndarray

    def half(self, second: bool) -> Piece:
        """Its first clauses or its last ones."""
        ends = [0, *part_ends(self.text)]
        middle = (len(ends) - 1) // 2 if second else len(ends) // 2
        cut = ends[middle]
        if second:
            held = self.starts >= cut
            return Piece(
                self.text[cut:], self.parts[middle:], self.tokens[held], self.starts[held] - cut
            )
        held = self.starts < cut
        return Piece(self.text[:cut], self.parts[:middle], self.tokens[held], self.starts[held])


class Pool:
    """The passages that were really encoded, and any number of others made from them."""

    def __init__(self, rows: list[dict[str, str]], folder: Path) -> None:
        self.rows = rows
        loaded = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("parts", "part_bounds", "tokens", "token_bounds", "starts")
        }
        self._arrays = loaded

    def piece(self, number: int) -> Piece:
        """Passage `number` of any size of corpus; the same text and vectors every time."""
        if number < len(self.rows):
            return self._real(number)
        random = np.random.default_rng(number)
        one, other = random.integers(0, len(self.rows), 2).tolist()
        head, tail = self._real(one).half(second=False), self._real(other).half(second=True)
        parts = np.concatenate([head.parts, tail.parts])
        parts = parts + SHIFT * self._differences(random, len(parts))
        parts /= np.linalg.norm(parts, axis=1, keepdims=True)
        starts = np.concatenate([head.starts, tail.starts + len(head.text)])
        return Piece(
            head.text + tail.text, parts, np.concatenate([head.tokens, tail.tokens]), starts
        )

    def _differences(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Ways in which texts differ: each from one clause to another of its passage, float32
        (count, dimension)."""
        bounds = self._arrays["part_bounds"]
        one = random.integers(0, len(self.rows), count)
        first, last = bounds[one], bounds[one + 1]
        there, here = (random.integers(first, last) for _ in range(2))
        parts = self._arrays["parts"]
        difference: np.ndarray = parts[there].astype(np.float32) - parts[here]
        return difference

    def _real(self, number: int) -> Piece:
        arrays = self._arrays
        first, last = arrays["part_bounds"][number : number + 2]
        begin, end = arrays["token_bounds"][number : number + 2]
        return Piece(
            self.rows[number]["text"],
            arrays["parts"][first:last].astype(np.float32),
            arrays["tokens"][begin:end],
            arrays["starts"][begin:end].astype(np.int64),
        )


class PoolEncoder:
    """Gives the passages of a pool their vectors, and questions those of the shipped encoder."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._shipped = load_encoder()
        self.name, self.fingerprint = "kiku", self._shipped.fingerprint
        self.dimension = self._shipped.dimension
        self.token_dimension = self._shipped.token_dimension
        self.reader = self._shipped.reader
        self.close_reader = self._shipped.close_reader
        self.max_tokens = self._shipped.max_tokens
        self.encode_queries = self._shipped.encode_queries

    def encode_documents(self, texts: Sequence[str]) -> Encoding:
        """By the number in the heading."""
        tokens, weights, offsets, parts = [], [], [], []
        for text in texts:
            found = _NUMBER.search(text)
            if found is None:
                raise SystemExit("a passage was split")
            piece = self._pool.piece(int(found[1]))
            starts = piece.starts + text.index("\n") + 1
            tokens.append(piece.tokens / np.float32(127))
            weights.append(np.ones(len(starts), np.float32))
            offsets.append(np.stack([starts, starts + 1], axis=1).astype(np.int32))
            parts.append(piece.parts)
        means = np.array([one.mean(axis=0) for one in parts], np.float32)
        return Encoding(means, tokens, weights, offsets, parts)


def main() -> None:
    """Measures every size that has not been measured yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--passages", type=int, nargs="+", default=[1000, 10_000, 100_000, 10**6])
    parser.add_argument("--encoded", type=int, default=100_000)
    parser.add_argument("--work", type=Path, default=ROOT / ".growth")
    parser.add_argument("--step", choices=("build", "ask"))
    chosen = parser.parse_args()
    chosen.work.mkdir(exist_ok=True)
    if chosen.step:
        size = chosen.passages[0]
        home = chosen.work / f"home-{size}"

        def pool() -> Pool:
            return open_pool(chosen.data, chosen.encoded, chosen.work)

        figures = (
            build_one(pool, size, home) if chosen.step == "build" else ask_one(pool, size, home)
        )
        print(json.dumps(figures))
        return
    open_pool(chosen.data, chosen.encoded, chosen.work)
    for size in chosen.passages:
        figures = {"passages": size}
        for step in ("build", "ask"):
            command = [
                sys.executable, "-m", "benchmarks.growth", str(chosen.data), "--step", step,
                "--passages", str(size), "--encoded", str(chosen.encoded), "--work", str(chosen.work),
            ]  # fmt: skip
            run = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            figures |= json.loads(run.stdout.splitlines()[-1])
        print(json.dumps(figures), flush=True)


def open_pool(data: Path, encoded: int, folder: Path) -> Pool:
    """The pool, encoded by the first run."""
    kept = folder / "rows.json"
    if not kept.is_file():
        task = large(data, 1, 1, encoded)
        rows = [{"title": one.title, "text": " ".join(one.text.split())} for one in task.passages]
        _encode(rows, folder)
        kept.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return Pool(json.loads(kept.read_text(encoding="utf-8")), folder)


def _encode(rows: list[dict[str, str]], folder: Path) -> None:
    encoder = load_encoder()
    parts: list[np.ndarray] = []
    tokens: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    began = time.monotonic()
    for first in range(0, len(rows), TOGETHER):
        found = encoder.encode_documents([row["text"] for row in rows[first : first + TOGETHER]])
        if not (found.parts and found.tokens and found.offsets):
            raise SystemExit("the shipped encoder gives no parts")
        parts += [one.astype(np.float16) for one in found.parts]
        tokens += [np.rint(one * 127).astype(np.int8) for one in found.tokens]
        starts += [one[:, 0].astype(np.uint16) for one in found.offsets]
        if first % (20 * TOGETHER) == 0:
            print(f"{time.monotonic() - began:6.0f} s  {first:,} encoded", file=sys.stderr)
    for name, arrays in (("part", parts), ("token", tokens)):
        bounds = np.cumsum([0, *map(len, arrays)])
        np.save(folder / f"{name}_bounds.npy", bounds)
        np.save(folder / f"{name}s.npy", np.concatenate(arrays))
    np.save(folder / "starts.npy", np.concatenate(starts))


def documents(pool: Pool, size: int) -> Iterator[Document]:
    """`size` passages, `SECTIONS` of them in a document, each under a heading of its own."""
    numbers = iter(range(size))
    while group := list(islice(numbers, SECTIONS)):
        text, outline = "", []
        for number in group:
            title = f"{pool.rows[number % len(pool.rows)]['title'] or '項目'} 〔{number}〕"
            outline.append(Heading(len(text), 2, title))
            text += f"## {title}\n\n{pool.piece(number).text}\n\n"
        source = f"{group[0] // 1000:04}/{group[0]:07}.md"
        yield Document(
            document_id(source), f"資料{group[0]:07}号", text, source, outline=tuple(outline)
        )


def build_one(opened: Callable[[], Pool], size: int, home: Path) -> dict[str, Any]:
    """Builds an index of `size` passages."""
    from index.build import build
    from index.generation import Generation, current_generation

    pool = opened()
    last = ""
    started = time.monotonic()

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        if stage != last:
            print(f"{time.monotonic() - started:7.0f} s  {stage}", file=sys.stderr)
            last = stage

    report = build(
        home, documents(pool, size), encoder=PoolEncoder(pool), keep=1, progress=progress,
        split_settings=SplitSettings(size=LONGEST),
    )  # fmt: skip
    if report.chunks != size:
        raise SystemExit(f"{report.chunks:,} passages instead of {size:,}")
    generation = Generation(current_generation(home))
    folder = generation.folder
    (home / "cache.sqlite").unlink()  # a million passages take some 10 GB there
    return {
        "build_s": round(report.seconds, 1),
        "vectors": generation.manifest.vectors,
        "disk_mib": round(sum(one.stat().st_size for one in folder.iterdir()) / 2**20),
    }


def ask_one(opened: Callable[[], Pool], size: int, home: Path) -> dict[str, Any]:
    """Opens it, asks, and compares the vectors that it finds with all there are."""
    from bot.records import Question
    from bot.settings import load_settings
    from bot.wiring import connect

    asked = questions(size)
    began = time.monotonic()
    kiku = connect(load_settings({"home": home}))
    kiku.answerer.ask(Question(asked[0][0]))
    first_answer = time.monotonic() - began
    for question, _ in asked[:WARM]:
        kiku.answerer.ask(Question(question))
    times, first = [], 0
    for question, _ in asked[WARM : WARM + ASKED]:
        start = time.perf_counter()
        kiku.answerer.ask(Question(question))
        times.append(1000 * (time.perf_counter() - start))
    memory = _memory()
    for question, number in asked[WARM : WARM + ASKED]:
        hits = kiku.retriever.search(question, 1)
        first += bool(hits) and f"〔{number}〕" in " ".join(hits[0].chunk.heading)
    figures = {
        "open_s": round(first_answer, 2),
        "p50_ms": round(median(times), 1),
        "p95_ms": round(quantiles(times, n=20)[-1], 1),
        **memory,
        "first": round(first / len(times), 3),
    }
    kiku.close()
    return figures | compared(opened(), size, home, [question for question, _ in asked[:COMPARED]])


def questions(size: int) -> list[tuple[str, int]]:
    """Questions on the first `size` passages, with the passage of each."""
    data = Path(sys.argv[1])
    task = large(data, 2000, 1, 1145)
    place = {passage.id: number for number, passage in enumerate(task.passages)}
    return [(text, place[one]) for text, one in task.questions if place[one] < size]


def compared(pool: Pool, size: int, home: Path, asked: Sequence[str]) -> dict[str, Any]:
    """How many of the ten nearest passages the vector index finds, and how soon."""
    from index.generation import Generation, current_generation

    generation = Generation(current_generation(home))
    if generation.vectors is None:
        raise SystemExit("an index without vectors")
    wanted = PoolEncoder(pool).encode_queries(list(asked)).vectors
    best = np.full((len(wanted), size), -2, np.float32)
    for number in range(size):
        best[:, number] = (wanted @ pool.piece(number).parts.T).max(axis=1)
    exact = np.argpartition(-best, 10, axis=1)[:, :10]
    shared, times = 0, []
    for vector, nearest in zip(wanted, exact, strict=True):
        start = time.perf_counter()
        found, _ = generation.vectors.search(vector, 10)
        times.append(1000 * (time.perf_counter() - start))
        shared += len(set(found.tolist()) & set(nearest.tolist()))
    return {
        "recall_at_10": round(shared / (10 * len(wanted)), 4),
        "vectors_p50_ms": round(median(times), 2),
    }


def _memory() -> dict[str, int]:
    fields = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    kib = {name: int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon")}
    return {
        "resident_mib": round(kib["VmRSS"] / 1024), "own_mib": round(kib["RssAnon"] / 1024),
    }  # fmt: skip


if __name__ == "__main__":
    main()
