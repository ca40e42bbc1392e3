"""The house stands: who may import whom, who reads the environment, what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "faiss", "sudachipy", "onnxruntime", "transformers", "sentence_transformers")
# The worker hands to its child what Python needs to run there, and nothing else; how FAISS's threads wait can be
# said in the environment only.
READS_ENVIRONMENT = ("bot.settings", "index.sources.worker", "index.vectors.inverted")

# The floors of each package, lowest first. A module may import from its own floor and from below.
# A name stands for the module and everything under it; the longest name that fits counts.
FLOORS = {
    "index": (
        ("index", "index.records", "index.errors"),
        (
            "index.normalize",
            "index.english",
            "index.transliteration",
            "index.spelling",
            "index.words",
            "index.split",
            "index.parts",
            "index.arrays",
            "index.int8",
            "index.reader",
            "index.close_reader",
        ),
        ("index.encoder",),
        (
            "index.lexical",
            "index.lexical_writer",
            "index.sentence_words",
            "index.answer_type",
            "index.sources",
        ),
        ("index.records_file", "index.cache", "index.vectors"),
        ("index.query", "index.generation", "index.versions"),
        (
            "index.rerank",
            "index.answer_sentences",
            "index.sentences",
            "index.fuse",
            "index.workplace",
            "index.reading",
            "index.embedding",
        ),
        ("index.engines",),
        ("index.build", "index.retrieve", "index.sharing", "index.bringing"),
        ("index.evaluation", "index.training"),
    ),
    "bot": (
        ("bot", "bot.records", "bot.errors", "bot.settings"),
        (
            "bot.messages",
            "bot.logs",
            "bot.store.database",
            "bot.store.insights",
            "bot.store.migrations",
            "bot.store.tables",
        ),
        ("bot.store", "bot.cite", "bot.confidence", "bot.conversation"),
        ("bot.compose",),
        ("bot.answer",),
        ("bot.kiku", "bot.suggestions", "bot.web"),
        ("bot.http", "bot.slack"),
        ("bot.wiring",),
        ("bot.evaluation", "bot.drafting"),
        ("bot.cli",),
    ),
}


@cache
def modules() -> tuple[str, ...]:
    """Every module of the project."""
    paths = [path for package in FLOORS for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return tuple(name.removesuffix(".__init__") for name in names)


@cache
def tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(module: str) -> tuple[tuple[str, int], ...]:
    """The modules that a module imports anywhere, and the line. `if TYPE_CHECKING` does not count:
    a name in an annotation ties nothing together when the program runs."""
    known = set(modules())
    skipped = {
        inner
        for node in ast.walk(tree(module))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree(module)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.append((inner if inner in known else node.module, node.lineno))
    return tuple(found)


def floor(module: str) -> int:
    """How high a module stands in its package."""
    fits = [
        (len(name), height)
        for height, names in enumerate(FLOORS[module.split(".")[0]])
        for name in names
        if module == name or (module.startswith(f"{name}.") and name not in FLOORS)
    ]
    assert fits, f"{module} has no floor: say in FLOORS where it belongs"
    return max(fits)[1]


def test_index_knows_nothing_of_bot() -> None:
    found = [
        f"{module}:{line} imports {other}"
        for module in modules()
        if module.split(".")[0] == "index"
        for other, line in imports(module)
        if other.split(".")[0] == "bot"
    ]
    assert found == []


@pytest.mark.parametrize("package", FLOORS)
def test_imports_go_down(package: str) -> None:
    found = [
        f"{module}:{line} imports {other}, which stands above it"
        for module in modules()
        if module.split(".")[0] == package
        for other, line in imports(module)
        if other.split(".")[0] == package and floor(other) > floor(module)
    ]
    assert found == []


def test_tests_and_benchmarks_are_imported_by_nobody() -> None:
    found = [
        f"{module}:{line} imports {other}"
        for module in modules()
        for other, line in imports(module)
        if other.split(".")[0] in ("tests", "benchmarks", "conftest")
    ]
    assert found == []


def test_only_the_settings_read_the_environment() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in modules()
        if module not in READS_ENVIRONMENT
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv", "os.putenv")
    ]
    assert found == []
    names = {"environ", "environb", "getenv", "putenv"}
    taken = [
        module
        for module in modules()
        if module not in READS_ENVIRONMENT
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        if names & {alias.name for alias in node.names}
    ]
    assert taken == []


def test_every_module_is_lazily_annotated() -> None:
    missing = [
        module
        for module in modules()
        if len(tree(module).body) > 1
        and not any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__"
            for node in tree(module).body
        )
        and any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree(module).body)
    ]
    assert missing == []


def test_importing_costs_nothing_and_does_nothing(tmp_path: Path) -> None:
    """All modules at once: nothing that takes seconds is loaded before it is needed, nothing is
    written or said, and nobody looks at the environment."""
    names = [
        name
        for name in modules()
        if not name.startswith(("index.training", "bot.store.migrations"))
    ]
    assert {"bot.cli", "bot.http.app", "index.retrieve"} < set(names)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport {', '.join(names)}\n"
        f"heavy = set({HEAVY!r}) & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "", "KIKU_NO_SUCH_SETTING": "1", "KIKU_PORT": "no number"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
