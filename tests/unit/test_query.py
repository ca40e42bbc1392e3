from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import SettingsError
from index.lexical import LexicalIndex, terms, word_key
from index.query import (
    Query,
    Synonyms,
    understand,
    version_match,
    version_ranges,
    versions,
)
from index.spelling import Names
from index.words import forms

ROOT = Path(__file__).parents[2]
TEXTS = (
    "containerdはCRIに準拠したコンテナランタイムである。",
    "Kubernetesのkubeletはdockershimを呼んでいた。",
    "CentOS Linux 7のサポートは2024年6月30日に終わった。",
    "PodmanはRed Hatが開発した。",
    "ドッカーの入門。",
    "Ubuntuの長期サポート版。",
)


@pytest.fixture(scope="module")
def lexical() -> LexicalIndex:
    return LexicalIndex.build([terms(text) for text in TEXTS], [terms("") for _ in TEXTS])


@pytest.fixture(scope="module")
def told() -> list[np.ndarray]:
    """The terms of each text."""
    return [terms(text).keys for text in TEXTS]


def accepts(query: Query, form: str) -> bool:
    """Whether a passage that holds `form`, and no other word, says something that is asked."""
    return any((word_key(form),) == tuple(keys) for group in query.groups for keys, _ in group)


def places(query: Query, lexical: LexicalIndex) -> list[int]:
    """The texts that the words of the question find."""
    return lexical.score(query.groups[: len(query.words)]).nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("contanierdとは", "containerd"),
        ("containrdとは", "containerd"),
        ("kuberntesの構成", "kubernetes"),
        ("dokcershimはいつ消えた", "dockershim"),
        ("ｃｏｎｔａｉｎｅｒｄ とは", "containerd"),
        ("クバネティスとは", "kubernetes"),
        ("ポッドマンを作ったのは", "podman"),
        ("dockerの入門", "ドッカ"),
    ],
)
def test_a_name_is_found_however_it_is_spelt(lexical: LexicalIndex, typed: str, meant: str) -> None:
    query = understand(typed, lexical, Synonyms())
    assert accepts(query, meant), query.spellings


@pytest.mark.parametrize("name", ["rkt", "zzzzzzzz", "プリン", "ansible", "パスタ"])
def test_an_unknown_name_is_not_taken_for_another(lexical: LexicalIndex, name: str) -> None:
    query = understand(f"{name}とは", lexical, Synonyms())
    assert query.spellings == {}
    assert query.known == (False,)
    assert query.unknown_share() == pytest.approx(1.0)
    assert query.coverage(query.present(terms(TEXTS[0]).keys), words_only=True) == 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("エスエスエッチで入るには", "ssh"),
        ("イーエックスティー4の上限", "ext4"),
        ("メムキャッシュディーの既定", "memcached"),
        ("エヌジンエックスの設定", "nginx"),
        ("ブルーグリーンデプロイの手順", "bluegreendeploy"),
    ],
)
def test_katakana_leads_to_the_latin_name_it_is_said_for(typed: str, meant: str) -> None:
    texts = ["SSHの鍵", "ext4とXFS", "memcachedのメモリー", "nginxのログ", "bluegreendeployの係"]
    held = [terms(text) for text in texts]
    query = understand(typed, LexicalIndex.build(held, [terms("")] * len(held)), Synonyms())
    assert accepts(query, meant), query.spellings


def test_katakana_that_passages_hold_is_no_other_name() -> None:
    held = [terms("スパークプラグの交換"), terms("Sparkの設定")]
    lexical = LexicalIndex.build(held, [terms("")] * len(held))
    assert understand("スパークプラグの交換", lexical, Synonyms()).spellings == {}


def test_a_known_name_keeps_its_spelling(lexical: LexicalIndex) -> None:
    query = understand("containerdとpodmanの違い", lexical, Synonyms())
    assert query.spellings == {}
    assert {"containerd", "podman"} <= set(query.words)


def test_question_words_and_particles_are_not_searched_for(lexical: LexicalIndex) -> None:
    query = understand("Podmanとは何ですか？教えてください。", lexical, Synonyms())
    assert query.words == ("podman",)
    assert places(query, lexical) == [3]
    assert query.unknown_share() == 0


def test_synonyms_work_both_ways(lexical: LexicalIndex) -> None:
    synonyms = Synonyms([["Docker", "ドッカー"], ["長期サポート", "LTS"], ["EOL", "サポート終了"]])
    assert 4 in places(understand("Dockerとは", lexical, synonyms), lexical)
    assert 5 in places(understand("LTSとは", lexical, synonyms), lexical)
    assert 5 not in places(understand("LTSとは", lexical, Synonyms()), lexical)
    back = understand("長期サポートの版", lexical, synonyms)
    assert accepts(back, "lts")


def test_a_term_of_several_words_needs_all_of_them(lexical: LexicalIndex) -> None:
    synonyms = Synonyms([["LTS", "長期サポート"]])
    query = understand("LTS", lexical, synonyms)
    assert places(query, lexical) == [5]  # サポート alone stands in another text too


def test_the_longest_synonym_counts() -> None:
    synonyms = Synonyms([["サポート", "支援"], ["サポート終了", "EOL"]])
    (found,) = synonyms.find(["サポート", "終了"])
    assert found[:2] == (0, 2)
    assert ("eol",) in found[2]


def test_the_vocabulary_of_the_corpus_can_be_read() -> None:
    synonyms = Synonyms.read(ROOT / "corpus" / "synonyms.toml")
    assert synonyms.find(forms("k8s"))[0][2]


@pytest.mark.parametrize(
    "text",
    ["[[synonyms]]\nterm = ['a']", "synonyms = 3", "[[synonyms", "\x00", "[[synonyms]]\nterms = 3"],
)
def test_a_malformed_vocabulary_is_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"words\.toml"):
        Synonyms.read(path)
    with pytest.raises(SettingsError, match=r"none\.toml"):
        Synonyms.read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("kubelet v1.22では", ((1, 22),)),
        ("１．２４と1.5", ((1, 24), (1, 5))),
        ("1.24.3", ((1, 24),)),
        ("成長率は3.5%", ()),
        ("CentOS 7", ()),
        ("", ()),
    ],
)
def test_versions_of_a_question(text: str, found: tuple[tuple[int, int], ...]) -> None:
    assert versions(text) == found


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("v1.5 ~ v1.23", (1, 22), (1, 24)),
        ("v1.5〜1.23", (1, 5), (1, 4)),
        ("1.5から1.23まで", (1, 23), (2, 0)),
        ("v1.24〜", (1, 31), (1, 23)),
        ("1.24以降", (1, 24), (1, 23)),
        ("1.20以前", (1, 20), (1, 21)),
        ("v1.5-v1.23", (1, 10), (1, 24)),
    ],
)
def test_ranges_of_a_text(text: str, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    (found,) = version_ranges(text)
    assert found[0] <= inside <= found[1]
    assert not found[0] <= outside <= found[1]


def test_a_date_or_a_name_is_no_range() -> None:
    assert version_ranges("2024年6月30日、python3-3.11、cri-o 1.24") == []


def test_a_version_lies_in_a_range_of_the_heading_or_the_text() -> None:
    assert version_match([(1, 22)], "v1.5 ~ v1.23", "") > 0
    assert version_match([(1, 24)], "v1.5 ~ v1.23", "") < 0
    assert version_match([(1, 22)], "kubelet", "v1.5〜v1.23では") > 0
    in_heading = version_match([(1, 22)], "v1.5 ~ v1.23", "")
    assert in_heading > version_match([(1, 22)], "", "v1.5 ~ v1.23")
    assert version_match([], "v1.5 ~ v1.23", "") == 0
    assert version_match([(1, 22)], "kubelet", "1.22で消えた") == 0


def test_a_name_is_found_by_its_letters_and_by_its_sound() -> None:
    names = Names(["containerd", "kubernetes", "ドッカー", "レッドハット"])
    assert names.like("contanierd")[0][0] == "containerd"
    assert names.like("クバネティス")[0][0] == "kubernetes"
    assert names.like("docker")[0][0] == "ドッカー"
    assert names.like("zzzz") == []


@settings(max_examples=40, deadline=None)
@given(
    text=st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=60),
        st.lists(
            st.sampled_from(["Docker", "とは", "1.24", "contanierd", "、", "クバネ", " "])
        ).map("".join),
    )
)
def test_any_question_can_be_understood(
    lexical: LexicalIndex, told: list[np.ndarray], text: str
) -> None:
    query = understand(text, lexical, Synonyms([["Docker", "ドッカー"]]))
    assert len(query.known) == len(query.words)
    assert len(query.values) == len(query.groups)
    assert 0 <= query.unknown_share() <= 1
    for keys in told:
        assert 0 <= query.coverage(query.present(keys)) <= 1 + 1e-9
    scores = lexical.score(query.groups)
    assert scores.shape == (len(TEXTS),)
    assert (scores >= 0).all()


def test_what_an_english_question_says_is_looked_for_in_japanese(lexical: LexicalIndex) -> None:
    query = understand("Who developed Podman with containers?", lexical, Synonyms())
    assert accepts(query, "開発")
    assert accepts(query, "コンテナ")
    assert query.unknown_share() == 0.0


def test_the_function_words_of_an_english_question_are_left_out(lexical: LexicalIndex) -> None:
    query = understand("What is the support that Ubuntu has?", lexical, Synonyms())
    assert query.words == ("サポート", "ubuntu")


def test_a_name_that_no_document_holds_is_missed_in_english_too(lexical: LexicalIndex) -> None:
    assert understand("Who developed Grafana?", lexical, Synonyms()).unknown_share() > 0.3


def test_a_misspelt_name_is_found_in_an_english_question(lexical: LexicalIndex) -> None:
    assert accepts(understand("When was contanierd released?", lexical, Synonyms()), "containerd")


def test_an_english_question_of_function_words_alone_is_understood(lexical: LexicalIndex) -> None:
    query = understand("What is it?", lexical, Synonyms())
    assert query.words == ()
    assert query.coverage(query.present(terms("何ですか").keys)) == 0.0


def test_latin_words_of_a_japanese_question_are_all_asked(lexical: LexicalIndex) -> None:
    assert accepts(understand("DockerfileのFROMは何？", lexical, Synonyms()), forms("from")[0])
