"""Katakana of Latin names: how likely a name is said so, and how that is learned."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from index.training import transliteration as training
from index.training.sources import Pair
from index.transliteration import consonants, likelihood, romanised, spelt_out


@pytest.mark.parametrize(
    ("katakana", "latin", "others"),
    [
        ("ドッカー", "docker", ("decree", "duke", "dagger")),
        ("クバネティス", "kubernetes", ("cabinets", "kubelet")),
        ("キークローク", "keycloak", ("kirk", "clockwork")),
        ("ピージーバウンサー", "pgbouncer", ("bouncer", "postgres")),
        ("コンテナディー", "containerd", ("contained", "container")),
        ("ログフォーシェル", "log4shell", ("logshell", "shell")),
    ],
)
def test_a_name_is_likelier_than_its_neighbours(
    katakana: str, latin: str, others: tuple[str, ...]
) -> None:
    said = likelihood(latin, katakana)
    assert said > -1.3
    assert all(said > likelihood(other, katakana) for other in others)


def test_what_cannot_be_said_so_is_impossible() -> None:
    assert likelihood("docker", "プリン") == float("-inf")
    assert likelihood("", "ア") == float("-inf")


@pytest.mark.parametrize(
    ("katakana", "letters"),
    [("ゼットエフエス", "zfs"), ("エイチティーエムエル", "html"), ("エスエスエッチ", "ssh"), ("エススリー", "s3"),
     ("ディー", ""), ("ドッカー", ""), ("エスプレッソ", ""), ("", "")],
)  # fmt: skip
def test_letters_are_known_by_what_they_are_called(katakana: str, letters: str) -> None:
    assert spelt_out(katakana) == letters


def test_katakana_is_romanised_with_its_long_and_double_sounds() -> None:
    assert romanised("ドッカー") == "doQka-"
    assert romanised("ヴァージョン2") == "ba-jon2"


def test_names_have_the_same_consonants_among_others_as_alone() -> None:
    names = ["docker", "ドッカー", "メッシ", "ヴェルサイユ", "ウォッチ", "x", "ー"]
    assert consonants(names) == [consonants([name])[0] for name in names]
    assert consonants(["docker"]) == consonants(["ドッカー"])
    assert consonants([]) == []


def test_rules_are_learned_from_readings() -> None:
    sounds = {"m": "マ", "k": "キ", "r": "ル", "t": "テ", "n": "ノ"}
    words = ["".join(letters) for letters in product(sounds, repeat=3)]
    said = {word: "".join(sounds[letter] for letter in word) for word in words}
    best: dict[str, str] = {}
    for letters, way, probability in training.learned(said):
        assert 0 < probability <= 1
        best.setdefault(letters, way)
    assert best == {letter: romanised(kana) for letter, kana in sounds.items()}


def test_readings_are_those_of_the_dictionary_but_for_spelt_words(tmp_path: Path) -> None:
    pairs = [Pair("python", "The HTML of this server, and zzzyx", "このサーバーのHTML")]
    said = training.readings(pairs)
    assert said["server"] == "サーバー"
    assert not said.keys() & {"html", "zzzyx"}
    training.write([("er", "a-", 0.5)], tmp_path / "rules.tsv")
    assert (tmp_path / "rules.tsv").read_text("utf-8") == "er\ta-\t0.5000\n"
