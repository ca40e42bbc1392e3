"""Where a build works: a locked home, a folder of its own, one rename at the end.

A process that dies leaves a folder under a hidden name, which the next build removes; the lock
is the operating system's and goes with the process.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from index.errors import BuildRunning, HomeUnwritable
from index.generation import generations, publish, sync_file, sync_folder

BUILDING = ".building-"
_NAME = "%Y%m%dT%H%M%S%f"
_REASONS = {
    errno.ENOSPC: "ディスクがいっぱいです",
    errno.EDQUOT: "ディスクの割り当てを使い切りました",
    errno.EFBIG: "ファイルの大きさの上限に達しました",
    errno.EIO: "入出力エラーが起きました",
    errno.EROFS: "読み取り専用です",
    errno.ENOTDIR: "フォルダーではありません",
    errno.EEXIST: "フォルダーではありません",
    errno.EACCES: "書き込みが許されていません",
    errno.EPERM: "書き込みが許されていません",
}


@contextmanager
def publishing(home: Path, keep: int) -> Iterator[Path]:
    """A new folder to build in. When the block ends with a manifest in it, it is published.

    Raises BuildRunning while another build of the same home runs, HomeUnwritable when the home
    cannot be written. `keep` finished generations are left, the served one among them.
    """
    with _told(home), _lock(home):
        _clear(home)
        folder = home / "generations" / f"{BUILDING}{_new_name(home)}"
        try:
            folder.mkdir()
            yield folder
            if (folder / "manifest.json").is_file():
                _publish(home, folder)
                _remove_old(home, keep)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(home: Path) -> Iterator[None]:
    """A failure to write, in one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise _unwritable(home, _REASONS[error.errno]) from error
    except sqlite3.OperationalError as error:
        if not any(
            sign in str(error) for sign in ("full", "readonly", "disk I/O", "unable to open")
        ):
            raise
        full = "full" in str(error)
        reason = "ディスクがいっぱいです" if full else f"書き込めません（{error}）"
        raise _unwritable(home, reason) from error


def _unwritable(home: Path, reason: str) -> HomeUnwritable:
    return HomeUnwritable(
        f"{home} に書き込めません: {reason}。",
        hint="空きと権限を確かめてください。いま使われている索引はそのままです。",
    )


def _publish(home: Path, folder: Path) -> None:
    """Everything to disk first, then the rename to the final name, then the pointer."""
    for path in folder.iterdir():
        sync_file(path)
    sync_folder(folder)
    final = folder.with_name(folder.name.removeprefix(BUILDING))
    os.rename(folder, final)
    sync_folder(final.parent)
    publish(home, final)


def _clear(home: Path) -> None:
    """Removes what builds that died have left."""
    (home / "generations").mkdir(parents=True, exist_ok=True)
    for left_over in (home / "generations").glob(f"{BUILDING}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    for left_over in home.glob(".*.tmp"):
        if not _being_written(left_over):
            left_over.unlink(missing_ok=True)


def _being_written(temporary: Path) -> bool:
    """Whether the process that a temporary file of `write_durably` is named after still runs."""
    process = temporary.name.split(".")[-2]
    if not process.isdecimal() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _new_name(home: Path) -> str:
    """The time as a name; later than every other's, even where the clock was set back."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for folder in generations(home):
        try:
            now = max(now, datetime.strptime(folder.name, _NAME) + timedelta(microseconds=1))
        except (ValueError, OverflowError):
            continue
    return now.strftime(_NAME)


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Held while a build runs; the operating system lets go of it when the process ends."""
    import fcntl

    home.mkdir(parents=True, exist_ok=True)
    with (home / "build.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "?"
            raise BuildRunning(
                f"別の kiku build が実行中です（プロセス {owner}）。",
                hint="終わるのを待ってから、もう一度実行してください。",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _remove_old(home: Path, keep: int) -> None:
    served = (home / "current").read_text(encoding="utf-8").strip()
    others = [folder for folder in generations(home) if folder.name != served]
    for folder in others[: max(0, len(others) - (keep - 1))]:
        shutil.rmtree(folder, ignore_errors=True)
