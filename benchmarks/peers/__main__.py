"""`make bench`: Kiku beside txtai, Haystack, LlamaIndex and LangChain, on the same passages with the
same encoder.

    python -m benchmarks.peers [--task jsquad | large] [--passages 100000]
                               [--systems kiku txtai …] [--fresh [SYSTEM …]] [--save]

Each system lives in an environment of its own under `.peers/`, made by the first run. A run that was
stopped goes on where it was; `--fresh` forgets figures. On two idle cores `jsquad` takes about 35
minutes; `large` about 22 minutes with `--passages 20000`, about 90 with 100,000.

Needs Linux, and the data sets in `--data`: JSQuAD-valid, JaQuAD-train, sections, parallel segments.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers.chart import chart
from benchmarks.peers.environments import NAMES, ROOT
from benchmarks.peers.measure import Column, Run
from benchmarks.peers.passages import Task, jsquad, large
from benchmarks.peers.report import rows, save, section, table

TASKS = ("jsquad", "large")
PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> None:
    """Measures what is asked for and prints the tables."""
    chosen = _arguments()
    if not (chosen.data / "jsquad-valid").is_dir():
        raise SystemExit(f"There are no data sets in {chosen.data}: say where with --data.")
    for name in [chosen.task] if chosen.task else TASKS:
        if name == "jsquad":
            task = jsquad(chosen.data, chosen.questions, chosen.rounds or 3, chosen.sample)
        else:
            task = large(chosen.data, chosen.questions, chosen.rounds or 2, chosen.passages)
        _run(name, task, chosen)


def _run(name: str, task: Task, chosen: argparse.Namespace) -> None:
    run = Run(task, chosen.encoder.resolve())
    columns = [
        Column(system, setup)
        for system in chosen.systems
        for setup in task.setups
        if (setup in ("passages", "answers")) == (system == "kiku")
        and setup in (chosen.setups or task.setups)
    ]
    if chosen.fresh is not None:
        run.forget([c for c in columns if not chosen.fresh or c.system in chosen.fresh])
    run.measure(columns)
    found = rows(run, columns)
    print(table(found))
    picture = run.folder / "chart.svg"
    picture.write_text(chart(found), encoding="utf-8")
    print(f"\nThe chart: {picture}; the figures, one file a set-up: {run.folder}")
    if chosen.save:
        image = f"images/benchmarks-{name}.svg"
        (PAGE.parent / image).write_text(chart(found), encoding="utf-8")
        save(PAGE, name, section(run, task, found, image))
        print(f"Saved to {PAGE}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, help="both by default")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--encoder", type=Path, default=ROOT / "index" / "model")
    parser.add_argument("--passages", type=int, default=100_000, help="of the large task")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--sample", type=int, help="so many passages of JSQuAD only, for a trial")
    parser.add_argument("--rounds", type=int, help="3 for jsquad, 2 for large")
    parser.add_argument("--systems", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--setups", nargs="+", help="passages, answers, documented, japanese")
    parser.add_argument("--fresh", nargs="*", choices=list(NAMES), help="forget the figures of …")
    parser.add_argument("--save", action="store_true", help=f"write to {PAGE.name} and its charts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
