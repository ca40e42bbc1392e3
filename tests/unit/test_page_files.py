"""The static files of the pages, read as text: words in both languages, and nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bot.web

STATIC = Path(bot.web.__file__).parent / "static"
FILES = sorted(path for path in STATIC.iterdir() if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


def sentences(language: str) -> dict[str, str]:
    """The sentences of words.js in one language."""
    source = (STATIC / "words.js").read_text(encoding="utf-8")
    block = source.split(f"const {language} = {{")[1].split("\n};")[0]
    return dict(re.findall(r'^  (\w+): "((?:[^"\\]|\\.)*)",$', block, re.MULTILINE))


def blanks(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_both_languages_have_the_same_sentences_with_the_same_blanks() -> None:
    japanese, english = sentences("JA"), sentences("EN")
    assert len(japanese) > 90
    assert {key: blanks(text) for key, text in japanese.items()} == {
        key: blanks(text) for key, text in english.items()
    }
    assert [key for key, text in japanese.items() if not text.strip()] == []


def test_every_sentence_that_is_used_exists_and_every_one_is_used() -> None:
    used: set[str] = set()
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        used.update(re.findall(r'\bt\("(\w+)"', text))
        used.update(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', text))
        if path.name in ("dialogs.js", "sidebar.js", "main.js"):  # keys named apart from t()
            used.update(key for key in sentences("JA") if f'"{key}"' in text)
        used.update(
            key for key in sentences("JA") if key.startswith("theme_") and "`theme_${" in text
        )
    assert used == set(sentences("JA"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_never_turn_text_into_markup(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source
    )
    assert len(source.splitlines()) <= 350


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_load_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[\w.:/-]+", text)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
        for reference in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            assert (STATIC / reference.removeprefix("/static/")).is_file()
    if path.suffix == ".js":
        for module in re.findall(r'from "\./([\w.]+)"', text):
            assert (STATIC / module).is_file()
