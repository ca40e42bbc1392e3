"""The figures of `benchmarks.growth` as curves: `python -m benchmarks.growth_chart FIGURES.jsonl OUT.svg`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

# Each panel: its head and the figures in it, with what they are called.
PANELS = (
    ("An answer, ms", (("p50_ms", "p50"), ("p95_ms", "p95"))),
    ("Vector search alone, ms", (("vectors_p50_ms", "p50"),)),
    ("Memory while answering, MiB", (("resident_mib", "resident"), ("own_mib", "without mapped files"))),
    ("On disk, MiB", (("disk_mib", "index"),)),
    ("Open and first answer, s", (("open_s", "seconds"),)),
    ("Build without encoding, s", (("build_s", "seconds"),)),
)  # fmt: skip
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 460, 250, 64, 40, 24, 40
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}.head{font-weight:600;font-size:14px}"
    ".note{fill:#62707c}.axis{stroke:#d5dde5}.page{fill:#fff}.l0{stroke:#0f766e}.l1{stroke:#7b93ad}"
    "path{fill:none;stroke-width:2}.c0{fill:#0f766e}.c1{fill:#7b93ad}"
)


def main() -> None:
    """Reads one JSON object a line, writes the SVG."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    Path(sys.argv[2]).write_text(chart([json.loads(line) for line in lines]), encoding="utf-8")


def chart(rows: Sequence[dict[str, float]]) -> str:
    """An SVG of two columns; both axes logarithmic."""
    rows = sorted(rows, key=lambda row: row["passages"])
    parts = []
    for place, (head, lines) in enumerate(PANELS):
        x, y = place % 2 * WIDTH, place // 2 * HEIGHT
        parts.append(f'<g transform="translate({x},{y})">{_panel(head, lines, rows)}</g>')
    wide, high = 2 * WIDTH, -(-len(PANELS) // 2) * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}"'
        f' height="{high}" role="img" aria-label="How Kiku grows with its passages">'
        f'<style>{_STYLE}</style><rect class="page" width="{wide}" height="{high}"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _panel(head: str, lines: Sequence[tuple[str, str]], rows: Sequence[dict[str, float]]) -> str:
    sizes = [row["passages"] for row in rows]
    values = [max(row[name], 1e-3) for row in rows for name, _ in lines]
    low, high = _decades(values)
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def place(size: float, value: float) -> tuple[float, float]:
        across = (math.log10(size) - first) / (last - first or 1)
        up = (math.log10(max(value, 1e-3)) - low) / (high - low)
        wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + across * wide, TOP + (1 - up) * tall

    parts = [f'<text class="head" x="12" y="22">{escape(head)}</text>']
    for decade in range(low, high + 1):
        _, y = place(sizes[0], 10.0**decade)
        parts.append(
            f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="note" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:,g}</text>'
        )
    for size in sizes:
        x, _ = place(size, 1)
        parts.append(
            f'<text class="note" x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{size:,}</text>'
        )
    for number, (name, called) in enumerate(lines):
        points = [place(row["passages"], row[name]) for row in rows]
        path = " ".join(
            f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points)
        )
        parts.append(f'<path class="l{number}" d="{path}"/>')
        parts += [
            f'<circle class="c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
            f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{row[name]:,g}</text>'
            for (x, y), row in zip(points, rows, strict=True)
        ]
        parts.append(
            f'<text class="c{number}" x="{WIDTH - RIGHT}" y="{22 + 14 * number}" text-anchor="end">'
            f"{escape(called)}</text>"
        )
    return "".join(parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.2))
    return low, max(high, low + 1)


if __name__ == "__main__":
    main()
