from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from index.errors import IndexDamaged, IndexMismatch, IndexMissing, KikuError
from index.generation import (
    FORMAT_VERSION,
    Generation,
    Manifest,
    current_generation,
    publish,
    write_durably,
)
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder


@pytest.fixture
def home(built_home: Path, tmp_path: Path) -> Path:
    """A copy of the small index, to be broken."""
    shutil.copytree(built_home, tmp_path / "home")
    return tmp_path / "home"


def served(home: Path) -> Path:
    return current_generation(home)


def edit_manifest(home: Path, **changes: object) -> None:
    path = served(home) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_manifest_says_what_a_generation_is_made_of(
    built_home: Path, fake_encoder: FakeEncoder, few_documents: list[Path]
) -> None:
    folder = served(built_home)
    manifest = Manifest.read(folder)
    assert manifest.id == folder.name
    assert manifest.encoder.name == fake_encoder.name
    assert manifest.encoder.fingerprint == fake_encoder.fingerprint
    assert manifest.encoder.dimension == fake_encoder.dimension
    assert manifest.encoder.token_dimension == fake_encoder.token_dimension
    assert manifest.documents == len(few_documents)
    assert manifest.collections == ("default",)
    assert set(manifest.files) == {path.name for path in folder.iterdir()} - {"manifest.json"}
    generation = Generation(folder)
    generation.verify()
    assert manifest.chunks == sum(summary.chunks for summary in generation.records.documents())
    generation.close()


def test_a_document_comes_back_as_it_went_in(built_home: Path, few_documents: list[Path]) -> None:
    generation = Generation(served(built_home))
    for summary in generation.records.documents():
        document = generation.records.document(summary.id)
        assert document is not None
        assert len(document.text) == summary.characters
        assert document.text.strip() in (few_documents[0].parent / document.source).read_text()
        for heading in document.outline:
            line = document.text[heading.start :].split("\n", 1)[0]
            assert heading.title in line
    assert generation.records.document("0" * 16) is None
    generation.close()


def test_no_index_yet(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="索引") as missing:
        current_generation(tmp_path)
    assert "kiku build" in missing.value.hint


@pytest.mark.parametrize("name", ["", "20200101T000000000000", "\n"])
def test_a_pointer_to_nothing(home: Path, name: str) -> None:
    (home / "current").write_text(name)
    with pytest.raises(IndexDamaged):
        current_generation(home)


@pytest.mark.parametrize("name", ["../..", "/", ".", "..", "a/b"])
def test_a_pointer_never_leaves_the_generations(home: Path, name: str) -> None:
    (home / "current").write_text(name)
    with pytest.raises(IndexDamaged):
        current_generation(home)


def test_a_pointer_of_noise(home: Path) -> None:
    (home / "current").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IndexDamaged):
        current_generation(home)


def names(home: Path) -> list[str]:
    return sorted(Manifest.read(served(home)).files)


def test_every_file_that_is_cut_short_is_named(home: Path, fake_encoder: FakeEncoder) -> None:
    for name in names(home):
        path = served(home) / name
        whole = path.read_bytes()
        for broken in (whole[: len(whole) // 2], b""):
            path.write_bytes(broken)
            with pytest.raises(IndexDamaged, match=name):
                Retriever.open(home, encoder=fake_encoder)
        path.unlink()
        with pytest.raises(IndexDamaged, match=name):
            Retriever.open(home, encoder=fake_encoder)
        path.write_bytes(whole)
    Retriever.open(home, encoder=fake_encoder).close()


def test_every_file_that_was_changed_is_named(home: Path, fake_encoder: FakeEncoder) -> None:
    for name in names(home):
        path = served(home) / name
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 0xFF
        path.write_bytes(whole)
        with pytest.raises(IndexDamaged, match=name):
            Retriever.open(home, encoder=fake_encoder)
        whole[len(whole) // 2] ^= 0xFF
        path.write_bytes(whole)
    Retriever.open(home, encoder=fake_encoder).close()


def test_verify_reads_files_too_large_to_read_when_opened(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.generation._DIGEST_AT_OPEN", 0)
    name = "vectors.faiss"
    path = served(home) / name
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 0xFF
    path.write_bytes(changed)
    generation = Generation(served(home))
    with pytest.raises(IndexDamaged, match=name):
        generation.verify()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"id": "x"}', json.dumps({"format_version": FORMAT_VERSION})],
)
def test_a_manifest_that_cannot_be_read(home: Path, text: str) -> None:
    (served(home) / "manifest.json").write_text(text)
    with pytest.raises(IndexDamaged, match=r"manifest\.json"):
        Generation(served(home))


@pytest.mark.parametrize("field", ["files", "encoder", "collections", "roots"])
def test_a_manifest_with_a_field_of_another_kind(home: Path, field: str) -> None:
    edit_manifest(home, **{field: None})
    with pytest.raises(KikuError):
        Retriever.open(home, encoder=None)


def test_a_manifest_without_a_file(home: Path) -> None:
    (served(home) / "manifest.json").unlink()
    with pytest.raises(IndexDamaged):
        Generation(served(home))


def test_another_format_names_both(home: Path) -> None:
    edit_manifest(home, format_version=99)
    with pytest.raises(IndexMismatch, match="99") as mismatch:
        Generation(served(home))
    assert "kiku build" in mismatch.value.hint


def test_another_tokenizer_names_both(home: Path) -> None:
    edit_manifest(home, analyzer="whitespace/1")
    with pytest.raises(IndexMismatch, match=r"whitespace/1.*sudachipy"):
        Generation(served(home))


def test_another_encoder_names_both(home: Path, fake_encoder: FakeEncoder) -> None:
    other = FakeEncoder(seed="-other")
    with pytest.raises(IndexMismatch, match=f"{fake_encoder.name}.*{other.name}") as mismatch:
        Retriever.open(home, encoder=other)
    assert "KIKU_ENCODER" in mismatch.value.hint


def test_no_encoder_leaves_words(home: Path) -> None:
    retriever = Retriever.open(home, encoder=None)
    assert not retriever.dense
    assert retriever.search("containerdとは")
    retriever.close()


def test_an_index_without_vectors_serves_any_encoder(lexical_home: Path) -> None:
    retriever = Retriever.open(lexical_home, encoder=FakeEncoder(seed="-any"))
    assert not retriever.dense
    assert retriever.search("containerdとは")
    retriever.close()


def test_publishing_replaces_the_pointer_whole(home: Path) -> None:
    old = served(home)
    new = old.with_name("20990101T000000000000")
    shutil.copytree(old, new)
    publish(home, new)
    assert served(home) == new
    assert [path.name for path in home.iterdir() if path.name.endswith(".tmp")] == []


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    with pytest.raises(TypeError):
        write_durably(path, None)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
