"""A virtual environment for each system, its versions pinned, under `.peers/` (not in git)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".peers"
TORCH = "torch"
# What stands for a system in the tables, by distribution.
NAMES = {
    "kiku": "kiku",
    "txtai": "txtai",
    "haystack": "haystack-ai",
    "llamaindex": "llama-index-core",
    "langchain": "langchain-core",
}


def prepare(system: str) -> Path:
    """The Python of a system's environment, made anew where its versions changed."""
    requirements = ROOT / (
        "constraints.txt" if system == "kiku" else f"benchmarks/peers/requirements/{system}.txt"
    )
    wanted = sha256(requirements.read_bytes()).hexdigest()
    folder = PLACE / system
    marker, python = folder / ".installed", folder / "bin" / "python"
    if marker.is_file() and marker.read_text() == wanted:
        return python
    print(f"Installing {system} into {folder.relative_to(ROOT)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    torch = next(
        line for line in requirements.read_text().splitlines() if line.startswith(f"{TORCH}==")
    )
    _torch(python, torch)
    if system == "kiku":
        _pip(python, "--constraint", str(requirements), "--editable", str(ROOT))
    else:
        _pip(python, "--requirement", str(requirements))
    marker.write_text(wanted)
    return python


def installed_mib(system: str) -> float:
    """What the environment takes on disk, without the modules that Python compiled."""
    folder = PLACE / system
    blocks = sum(
        path.lstat().st_blocks for path in folder.rglob("*") if path.parent.name != "__pycache__"
    )
    return blocks * 512 / 2**20


def version(system: str) -> str:
    """The installed version of a system."""
    found = subprocess.run(
        [PLACE / system / "bin" / "python", "-c",
         "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))", NAMES[system]],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    return re.sub(r"\s+", "", found.stdout)


def _torch(python: Path, torch: str) -> None:
    """PyTorch's CPU build from its own index where `make` names it, else whatever pip finds."""
    index = os.environ.get("TORCH_CPU_INDEX")
    if index:
        try:
            _pip(
                python, "--no-deps", "--retries", "0", "--timeout", "5", "--index-url", index, torch
            )
            return
        except subprocess.CalledProcessError:
            print("PyTorch's own index does not answer; asking the default one", file=sys.stderr)
    _pip(python, "--no-deps", torch)


def _pip(python: Path, *arguments: str) -> None:
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    subprocess.run([*command, "--no-compile", *arguments], check=True)
