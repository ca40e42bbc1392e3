"""Copies what cannot be made again out of Kiku's folder, and the index, while Kiku runs.

    python3 deploy/backup.py .kiku /backups/2026-11-23

Conversations, feedback and Slack events are copied by SQLite itself, so the copy is of one moment.
The index is the generation that is served; generations never change once they are published. The
cache is left out: it saves time when documents are read again and holds nothing else. To restore,
stop Kiku, put the copy in the folder's place and start Kiku. Needs Python alone.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

DATABASE = "kiku.sqlite"
SMALL = ("sources.json", "calibration.json")
ATTEMPTS = 5


class BackupError(Exception):
    """A backup that cannot be made; the message is for people."""


def back_up(home: Path, target: Path) -> None:
    """Copies `home` to the new folder `target`. Raises BackupError."""
    if not (home / "current").is_file() and not (home / DATABASE).is_file():
        raise BackupError(f"{home} holds nothing of Kiku's: give the folder that KIKU_HOME names.")
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        raise BackupError(f"{target} is there already: give a new folder.") from None
    if (home / DATABASE).is_file():
        _copy_database(home / DATABASE, target / DATABASE)
    for name in SMALL:
        if (home / name).is_file():
            shutil.copy2(home / name, target / name)
    if (home / "current").is_file():
        _copy_generation(home, target)


def _copy_database(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(source, timeout=30)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        found = new.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise BackupError(f"{source} is damaged: {found}.")


def _copy_generation(home: Path, target: Path) -> None:
    """The served generation; builds remove old ones, and then the one that is served now counts."""
    for _ in range(ATTEMPTS):
        name = (home / "current").read_text("utf-8").strip()
        copy = target / "generations" / name
        try:
            shutil.copytree(home / "generations" / name, copy)
        except (FileNotFoundError, shutil.Error):
            shutil.rmtree(copy, ignore_errors=True)
            continue
        (target / "current").write_text(name, "utf-8")
        return
    raise BackupError(f"The index in {home} changes faster than it can be copied: try again later.")


def main(arguments: list[str]) -> int:
    """The command; its exit status."""
    if len(arguments) != 2:
        print("usage: python3 deploy/backup.py HOME TARGET", file=sys.stderr)
        return 2
    try:
        back_up(Path(arguments[0]), Path(arguments[1]))
    except (BackupError, OSError, sqlite3.Error) as error:
        print(f"No backup was made. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
