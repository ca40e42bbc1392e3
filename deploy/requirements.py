"""Prints what the image installs: the run-time dependencies of pyproject.toml.

The shipped encoder runs on onnxruntime; torch and sentence-transformers, four fifths of what an
installation weighs, serve other encoders alone and are left out unless `--any-encoder` is given.
Of the stores, PostgreSQL's driver is always there and Milvus' only with `--milvus`: it brings pandas.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
OTHER_ENCODERS = {"sentence-transformers", "torch"}


def requirements(*, any_encoder: bool, milvus: bool) -> list[str]:
    """The requirements of `kiku` and of its stores' drivers, as pyproject.toml spells them."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    if milvus:
        wanted += project["optional-dependencies"]["milvus"]
    return [line for line in wanted if any_encoder or _name(line) not in OTHER_ENCODERS]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    given = sys.argv[1:]
    print(*requirements(any_encoder="--any-encoder" in given, milvus="--milvus" in given), sep="\n")
