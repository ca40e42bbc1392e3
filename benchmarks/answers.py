"""How long an answer takes on the corpus that comes with Kiku: `python -m benchmarks.answers`.

Prints the time from pressing Enter on `kiku ask` to its answer, the wall clock and processor time of
a question in a process that is warm, and that process's peak memory.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bot.records import Question
from bot.settings import load_settings
from bot.wiring import build_index, connect, open_encoder

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5


def main() -> None:
    """Builds the index in a temporary folder and prints one line a figure."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"home": Path(folder)})
        encoder, _ = open_encoder(settings)
        report = build_index(settings, [ROOT / "corpus/documents"], encoder=encoder)
        print(f"index of {report.chunks:,} passages: {report.seconds:.1f} s")
        print(f"kiku ask, Enter to answer: {_cold(folder):.2f} s (median of {RUNS})")
        kiku = connect(settings)
        lines = (ROOT / "corpus/questions.jsonl").read_text(encoding="utf-8").splitlines()
        questions = [json.loads(line)["question"] for line in lines]
        for question in questions[:20]:
            kiku.answerer.ask(Question(question))
        began, times = time.process_time(), []
        for question in questions:
            start = time.perf_counter()
            kiku.answerer.ask(Question(question))
            times.append(1000 * (time.perf_counter() - start))
        processor = 1000 * (time.process_time() - began) / len(questions)
        times.sort()
        print(
            f"a question, warm: p50 {times[len(times) // 2]:.1f} ms,"
            f" p95 {times[int(0.95 * len(times))]:.1f} ms, processor {processor:.1f} ms"
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory, build included: {peak:.0f} MiB")
        kiku.close()


def _cold(home: str) -> float:
    """The median wall clock of `kiku ask` in a new process, in seconds."""
    command = [
        str(Path(sys.executable).with_name("kiku")),
        "ask",
        "rktはなぜ使われなくなったのですか",
    ]
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(
            command,
            env={**os.environ, "KIKU_HOME": home},
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        times.append(time.perf_counter() - start)
    return sorted(times)[RUNS // 2]


if __name__ == "__main__":
    main()
