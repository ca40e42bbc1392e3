"""Bars on stderr while something long runs; silent where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

STAGES = {
    "read": "文書を読む", "words": "語に分ける", "encode": "意味を読む",
    "copy": "箇所を写す", "copy-words": "語を写す", "index": "索引を張る",
}  # fmt: skip
T = TypeVar("T")


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Progress]:
    """A bar for each thing under way: how far, how fast, how long still."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        Remaining(),
    )
    console = Console(stderr=True)
    quiet = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=quiet, transient=True) as progress:
        yield progress


def building(progress: Progress) -> Callable[[str, int, int], None]:
    """What a build reports to, a bar for each of its stages."""
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            name = STAGES.get(stage, stage)
            tasks[stage] = progress.add_task(name, total=total or None, rate="")
        speed = next((task.speed for task in progress.tasks if task.id == tasks[stage]), None)
        rate = f"{speed:,.0f} 件/秒" if speed else ""
        progress.update(tasks[stage], completed=done, total=total or None, rate=rate)

    return report


def through(progress: Progress, items: Sequence[T], name: str) -> Iterable[T]:
    """The items one after another, under a bar of their own."""
    task = progress.add_task(name, total=len(items), rate="")
    return progress.track(items, task_id=task)
