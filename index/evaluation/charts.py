"""The report's charts as inline SVG: intervals, curves and histograms, coloured by its style sheet.

Every function returns one `<svg>` whose labels are escaped; classes `s0`, `s1`, … are the series.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from index.evaluation.records import Estimate
from index.evaluation.resampling import Floats

WIDTH = 460
HEIGHT = 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44
CURVE_POINTS = 200

ROW_WIDTH = 520
LABELS, VALUES, ROW, GAP = 172, 122, 25, 9

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """One line of `intervals`."""

    label: str
    estimate: Estimate
    series: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `x` and `y` of one length. `sizes` draws its points, their area by size."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[float] = ()


def intervals(groups: Sequence[Sequence[Interval]]) -> str:
    """Values in 0…1 as dots with their 95 % intervals, one a line, groups set apart.

    The axis begins at the round value below the lowest interval: dots, unlike bars, need no zero.
    """
    low = min(row.estimate.low for group in groups for row in group)
    low = max(0.0, float(np.floor(low * 10 - 0.2)) / 10)
    x = _scale(low, 1, LABELS, ROW_WIDTH - VALUES)
    parts: list[str] = []
    y = 6.0
    for group in groups:
        for row in group:
            y += ROW
            parts.append(_interval(row, x, y))
        y += GAP
    grid = [
        f'<line class="grid" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="8" y2="{y + 4:.0f}"/>'
        f'<text class="tick" x="{x(v):.1f}" y="{y + 20:.0f}" text-anchor="middle">'
        f"{_percent_tick(v)}</text>"
        for v in (1 - tick for tick in _ticks(1 - low))
    ]
    return _svg(ROW_WIDTH, int(y) + 28, "".join(grid + parts))


def _interval(row: Interval, x: Scale, y: float) -> str:
    e = row.estimate
    title = f"{row.label}: {percent(e.value)}（{percent(e.low)} – {percent(e.high)}）n={e.n}"
    return (
        f'<g class="s{row.series}"><title>{escape(title)}</title>'
        f'<text x="{LABELS - 14}" y="{y + 4:.0f}" text-anchor="end">{escape(_clip(row.label))}</text>'
        f'<line class="whisker" x1="{x(e.low):.1f}" x2="{x(e.high):.1f}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{x(e.value):.1f}" cy="{y}" r="5"/>'
        f'<text class="value" x="{ROW_WIDTH - VALUES + 66}" y="{y + 4:.0f}" text-anchor="end">'
        f"{percent(e.value)}</text>"
        f'<text class="tick" x="{ROW_WIDTH}" y="{y + 4:.0f}" text-anchor="end">n={e.n}</text></g>'
    )


def lines(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    y_max: float = 1.0,
    diagonal: bool = False,
    marks: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Curves over 0…1, with a legend; `marks` are labelled points (x, y, label)."""
    x, y = _axes(1.0, y_max)
    parts = [_frame(x, y, 1.0, y_max, x_label, y_label, _percent_tick)]
    if diagonal:
        parts.append(
            f'<line class="diagonal" x1="{x(0):.1f}" y1="{y(0):.1f}" x2="{x(1):.1f}" y2="{y(1):.1f}"/>'
        )
    for number, one in enumerate(series):
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in _thin(one.x, one.y))
        parts.append(f'<g class="s{number}"><polyline points="{points}"/>')
        largest = max(one.sizes, default=1) or 1
        for a, b, size in zip(one.x, one.y, one.sizes, strict=False):
            radius = 2.5 + 5.5 * (size / largest) ** 0.5
            parts.append(
                f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="{radius:.1f}">'
                f"<title>{percent(a)} → {percent(b)} (n={size:.0f})</title></circle>"
            )
        parts.append("</g>")
    for a, b, label in marks:
        parts.append(
            f'<g class="mark"><circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="5"/>'
            f'<text x="{x(a) + (-9 if a > 0.5 else 9):.1f}" y="{y(b) - 9:.1f}" '
            f'text-anchor="{"end" if a > 0.5 else "start"}">{escape(label)}</text></g>'
        )
    return _svg(WIDTH, HEIGHT, "".join(parts)) + _legend([one.name for one in series])


def histogram(
    groups: Sequence[tuple[str, Floats]],
    x_label: str,
    *,
    top: float,
    bins: int = 20,
    marks: Sequence[tuple[float, str]] = (),
    percent_axis: bool = False,
) -> str:
    """How many values lie where in 0…`top`, groups beside each other as shares of their own size.

    Values above `top` are in the last bin; `marks` are labelled vertical lines.
    """
    shares = [
        np.histogram(np.minimum(values, top), bins=bins, range=(0, top))[0] / max(len(values), 1)
        for _, values in groups
    ]
    y_max = max((float(share.max()) for share in shares), default=1.0) * 1.12 or 1.0
    x, y = _axes(top, y_max)
    tick = _percent_tick if percent_axis else _number_tick
    parts = [_frame(x, y, top, y_max, x_label, "質問の割合 %", tick)]
    width = (x(top / bins) - x(0)) / max(len(groups), 1)
    for number, ((name, values), share) in enumerate(zip(groups, shares, strict=True)):
        for place, part in enumerate(share):
            if part:
                left = x(top / bins * place) + width * number
                count = round(float(part) * len(values))
                parts.append(
                    f'<rect class="s{number}" x="{left + 0.5:.1f}" y="{y(part):.1f}" '
                    f'width="{max(width - 1, 1):.1f}" height="{y(0) - y(part):.1f}">'
                    f"<title>{escape(name)} {count}</title></rect>"
                )
    for number, (value, label) in enumerate(marks):
        at = x(min(value, top))
        end = value > top * 0.7
        parts.append(
            f'<g class="mark"><line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{y(0):.1f}"/>'
            f'<text x="{at + (-6 if end else 6):.1f}" y="{TOP + 12 + 16 * number}" '
            f'text-anchor="{"end" if end else "start"}">{escape(label)}</text></g>'
        )
    return _svg(WIDTH, HEIGHT, "".join(parts)) + _legend([name for name, _ in groups])


def percent(value: float) -> str:
    """`0.9137` as `91.4 %`."""
    return f"{value * 100:.1f} %"


def _axes(x_max: float, y_max: float) -> tuple[Scale, Scale]:
    return _scale(0, x_max, LEFT, WIDTH - RIGHT), _scale(0, y_max, HEIGHT - BOTTOM, TOP)


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start)


def _frame(
    x: Scale,
    y: Scale,
    x_max: float,
    y_max: float,
    x_label: str,
    y_label: str,
    x_tick: Callable[[float], str],
) -> str:
    parts = [
        f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{y(0):.1f}" y2="{TOP}"/>'
        f'<text class="tick" x="{x(value):.1f}" y="{y(0) + 16:.1f}" text-anchor="middle">'
        f"{x_tick(value)}</text>"
        for value in _ticks(x_max)
    ]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" '
        f'y2="{y(value):.1f}"/><text class="tick" x="{LEFT - 7}" y="{y(value) + 4:.1f}" '
        f'text-anchor="end">{_percent_tick(value)}</text>'
        for value in _ticks(y_max)
    ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" '
        f'text-anchor="middle">{escape(x_label)}</text>'
        f'<text class="axis" transform="translate(13 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join(parts)


def _ticks(top: float) -> list[float]:
    """Four to eight round values from 0 up to `top`."""
    raw = top / 5
    power = 10.0 ** np.floor(np.log10(raw)) if raw > 0 else 1.0
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    return [step * n for n in range(int(top / step + 1e-9) + 1)]


def _percent_tick(value: float) -> str:
    return f"{value * 100:g}"


def _number_tick(value: float) -> str:
    return f"{value:g}"


def _thin(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """At most CURVE_POINTS points of a curve, its ends kept."""
    if len(x) <= CURVE_POINTS:
        return list(zip(x, y, strict=True))
    kept = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).astype(int))
    return [(x[i], y[i]) for i in kept]


def _legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    items = "".join(f'<li class="s{n}">{escape(name)}</li>' for n, name in enumerate(names))
    return f'<ul class="legend">{items}</ul>'


def _clip(text: str, length: int = 24) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _svg(width: int, height: int, body: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{body}</svg>'
