from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.words import forms, is_stop_word, tokenizer_version, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("打ち込む", "打込む"),
        ("サーバー", "サーバ"),
        ("コンピューター", "コンピュータ"),
        ("ﾄﾞｯｶｰ", "ドッカー"),
        ("ＯＣＩ", "oci"),
        ("引っ越し", "引越し"),
    ],
)
def test_spellings_of_one_word_have_one_form(one: str, other: str) -> None:
    assert forms(one) == forms(other) != []


def test_particles_and_punctuation_are_left_out() -> None:
    assert not {"は", "を", "の", "です", "。", "、", "？"} & set(
        forms("これはコンテナの話です。、？")
    )


def test_a_long_word_follows_the_short_ones_that_make_it() -> None:
    found = words("関西国際空港")
    assert [word.text for word in found if word.parts] == ["関西国際空港"]
    assert [word.text for word in found if not word.parts] == ["関西", "国際", "空港"]
    assert found[-1].parts


@pytest.mark.parametrize("name", ["kube-apiserver", "cri-o", "1.24", "docker.io", "c++"])
def test_a_latin_run_stays_whole_beside_its_parts(name: str) -> None:
    found = forms(f"それは{name}です")
    assert name in found
    assert name.rstrip("+").replace("-", " ").replace(".", " ").split()[0] in "".join(found)


def test_a_text_longer_than_the_tokenizer_takes_is_read_in_parts() -> None:
    line = "コンテナランタイムはカーネルの機能を使う。\n"
    many = 4_000
    assert forms(line * many) == forms(line) * many
    assert set(forms("漢" * 30_000)) == set(forms("漢" * 12_000 + "\n" + "漢" * 6_000))


def test_threads_agree_with_one_another() -> None:
    texts = [f"v1.{number}のkubeletは{number}個のコンテナを動かす。" for number in range(60)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(forms, texts)) == [forms(text) for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_can_be_read(text: str) -> None:
    for word in words(text):
        assert word.form
        assert word.text


def test_question_words_say_nothing() -> None:
    asked = [form for form in forms("Dockerとは何ですか。教えてください") if not is_stop_word(form)]
    assert asked == ["docker"]


def test_the_version_names_the_dictionary() -> None:
    assert "sudachipy-" in tokenizer_version()
    assert "core-" in tokenizer_version()
