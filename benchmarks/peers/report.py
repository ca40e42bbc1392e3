"""The figures of a run as rows, as a table in Markdown, and inside `docs/benchmarks.md`."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environments import installed_mib, version
from benchmarks.peers.measure import Column, Run
from benchmarks.peers.passages import Task

TITLES = {
    "kiku": "Kiku", "txtai": "txtai", "haystack": "Haystack", "llamaindex": "LlamaIndex",
    "langchain": "LangChain",
}  # fmt: skip
SETUPS = {
    "passages": "passages", "answers": "cited answers", "documented": "as documented",
    "japanese": "best for Japanese",
}  # fmt: skip
WITHOUT_ENCODER = ("haystack-documented",)


@dataclass(frozen=True)
class Row:
    """The figures of one set-up. Times in seconds, or milliseconds for a question; MiB."""

    column: Column
    recall: float
    asked: int
    index_s: float
    cold_s: float
    p50_ms: float
    p95_ms: float
    per_s: float
    failed: tuple[str, ...]
    index_mib: float
    serve_mib: float
    disk_mib: float
    install_mib: float

    @property
    def name(self) -> str:
        """As a reader knows it."""
        return f"{TITLES[self.column.system]}, {SETUPS[self.column.setup]}"


@dataclass(frozen=True)
class Measure:
    """One column of the table: its head, how a row shows in it, and whether more is better."""

    head: str
    value: Callable[[Row], float]
    shown: Callable[[float], str]
    more: bool = False


def _plain(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


MEASURES = (
    Measure("Recall@1", lambda row: row.recall, _plain(3), more=True),
    Measure("time to index, s", lambda row: row.index_s, _plain(1)),
    Measure("cold start, s", lambda row: row.cold_s, _plain(2)),
    Measure("p50, ms", lambda row: row.p50_ms, _plain(1)),
    Measure("p95, ms", lambda row: row.p95_ms, _plain(1)),
    Measure("answers/s, 8 clients", lambda row: row.per_s, _plain(1), more=True),
    Measure("memory answering, MiB", lambda row: row.serve_mib, _plain(0)),
    Measure("memory indexing, MiB", lambda row: row.index_mib, _plain(0)),
    Measure("index on disk, MiB", lambda row: row.disk_mib, _plain(1)),
    Measure("installed, MiB", lambda row: row.install_mib, _plain(0)),
)


def rows(run: Run, columns: Sequence[Column]) -> list[Row]:
    """The set-ups that have been asked at least once."""
    sizes: dict[str, float] = {}
    found = []
    for column in columns:
        sessions = run.figures(column.name).get("sessions")
        builds = run.figures(f"{column.index}.index").get("builds")
        if not sessions or not builds:
            continue
        if column.system not in sizes:
            sizes[column.system] = installed_mib(column.system)
        times = sorted(ms for session in sessions for ms in session["ms"])
        ranks = [rank for session in sessions for rank in session["ranks"]]
        encoded = 0.0
        if column.system != "kiku" and column.name not in WITHOUT_ENCODER:
            encoded = run.figures("encode").get("seconds", 0.0)
        found.append(
            Row(
                column=column,
                recall=ranks.count(1) / len(ranks),
                asked=len(ranks),
                index_s=encoded + statistics.median(build["index_s"] for build in builds),
                cold_s=statistics.median(session["cold_s"] for session in sessions),
                p50_ms=statistics.median(times),
                p95_ms=times[int(0.95 * len(times))],
                per_s=statistics.median(session["together"]["per_s"] for session in sessions),
                failed=tuple({one for s in sessions for one in s["together"]["failed"]}),
                index_mib=max(build["peak_mib"] for build in builds),
                serve_mib=max(session["peak_mib"] for session in sessions),
                disk_mib=builds[-1]["disk_mib"],
                install_mib=sizes[column.system],
            )
        )
    return found


def table(found: Sequence[Row]) -> str:
    """Markdown, the best figure of each column in bold."""
    best = {
        measure.head: (max if measure.more else min)(measure.value(row) for row in found)
        for measure in MEASURES
    }
    lines = [
        "| | " + " | ".join(measure.head for measure in MEASURES) + " |",
        "|---|" + "---:|" * len(MEASURES),
    ]
    for row in found:
        cells = []
        for measure in MEASURES:
            value = measure.value(row)
            bold = "**" if value == best[measure.head] else ""
            cells.append(f"{bold}{measure.shown(value)}{bold}")
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def section(run: Run, task: Task, found: Sequence[Row], chart: str) -> str:
    """Everything that the figures' part of the page holds."""
    asked = sorted({row.asked for row in found})
    count = f"{asked[0]:,}" if len(asked) == 1 else f"{asked[0]:,} to {asked[-1]:,}"
    known = run.figures("load")
    systems = list(dict.fromkeys(row.column.system for row in found))
    versions = ", ".join(f"{TITLES[system]} {version(system)}" for system in systems)
    notes = [
        f"{len(task.passages):,} passages, {count} questions a set-up, {task.rounds} rounds.",
        f"{machine()}; load before the run {known['before']:.1f}; {known['day']}.",
        f"{versions}; Python {platform.python_version()}.",
    ]
    if task.encode_once:
        seconds = run.figures("encode")["seconds"]
        notes.append(
            f"The peers' vectors were encoded once, in {seconds:,.0f} s, which is part of each one's"
            " time to index; their memory while encoding is not."
        )
    for row in found:
        choice = run.figures(row.column.name)["choice"]
        if "recall" in choice:
            shares = " / ".join(f"{share:.3f}" for share in choice["recall"])
            notes.append(
                f"{row.name}: choice {choice['choice'] + 1} of {len(choice['recall'])}"
                f" (Recall@1 on {choice['questions']} of the questions: {shares})."
            )
        if row.failed:
            notes.append(f"{row.name}, 8 clients: {'; '.join(row.failed)}")
    return f"{table(found)}\n\n![{task.name}]({chart})\n\n" + "\n".join(f"- {n}" for n in notes)


def save(page: Path, name: str, text: str) -> None:
    """Puts `text` between the page's `<!-- NAME -->` and `<!-- end NAME -->`."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    content = page.read_text(encoding="utf-8")
    if not pattern.search(content):
        raise SystemExit(f"{page} has no place for {name!r}")
    page.write_text(pattern.sub(lambda m: f"{m[1]}{text}\n{m[2]}", content), encoding="utf-8")


def machine() -> str:
    """The processor, its cores and the memory (Linux)."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor[1] if processor else platform.machine()}, {os.cpu_count()} cores,"
        f" {memory:.0f} GiB, {platform.system()} {platform.release()}"
    )
