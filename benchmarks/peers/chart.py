"""The figures as bars: one panel a measure, one SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.peers.report import MEASURES, Measure, Row

SHOWN = (
    "Recall@1", "time to index, s", "cold start, s", "p50, ms", "answers/s, 8 clients",
    "memory answering, MiB",
)  # fmt: skip
PANELS = 2  # in a row
WIDTH, LABELS, VALUES = 500, 190, 62
BAR, LINE, HEAD, GAP = 13, 21, 34, 26
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}.head{font-weight:600;font-size:14px}"
    ".note{fill:#62707c}.own{fill:#0f766e}.peer{fill:#9fb3c8}.axis{stroke:#d5dde5}"
    ".page{fill:#ffffff}"
)


def chart(rows: Sequence[Row]) -> str:
    """An SVG; Kiku's bars stand out."""
    measures = [measure for measure in MEASURES if measure.head in SHOWN]
    height = HEAD + LINE * len(rows) + GAP
    lines = -(-len(measures) // PANELS)
    parts = []
    for place, measure in enumerate(measures):
        x, y = place % PANELS * WIDTH, place // PANELS * height
        parts.append(f'<g transform="translate({x},{y})">{_panel(measure, rows)}</g>')
    wide, high = PANELS * WIDTH, lines * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}"'
        f' height="{high}" role="img" aria-label="Kiku beside its peers"><style>{_STYLE}</style>'
        f'<rect class="page" width="{wide}" height="{high}"/>{"".join(parts)}</svg>\n'
    )


def _panel(measure: Measure, rows: Sequence[Row]) -> str:
    values = [measure.value(row) for row in rows]
    longest = max(values) or 1.0
    room = WIDTH - LABELS - VALUES - 10
    better = "more is better" if measure.more else "less is better"
    parts = [
        f'<text class="head" x="12" y="22">{escape(measure.head)}'
        f'<tspan class="note" dx="8" font-size="11" font-weight="400">{better}</tspan></text>',
        f'<line class="axis" x1="{LABELS}" x2="{LABELS}" y1="{HEAD - 4}"'
        f' y2="{HEAD + LINE * len(rows) - 4}"/>',
    ]
    for place, (row, value) in enumerate(zip(rows, values, strict=True)):
        y = HEAD + LINE * place
        kind = "own" if row.column.system == "kiku" else "peer"
        length = max(1.0, room * value / longest)
        parts.append(
            f'<text x="{LABELS - 8}" y="{y + 11}" text-anchor="end">{escape(row.name)}</text>'
            f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            f'<text x="{LABELS + length + 6:.1f}" y="{y + 11}">{measure.shown(value)}</text>'
        )
    return "".join(parts)
