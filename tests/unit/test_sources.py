"""Finding files, decoding them, and what a team says about them beside the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import SourceError, UnreadableDocument
from index.records import DEFAULT_COLLECTION, Document
from index.sources import Limits, Rules, SourceFile, discover, load, read_rules
from index.sources.dates import iso_date
from index.sources.encoding import decode
from index.sources.ruby import without_ruby
from index.sources.word_numbers import format_number, kanji_number
from index.sources.wrapped import rejoined, unwrapped

JAPANESE = (
    "Kubernetesのコンテナランタイムは、コンテナの実行を担当するソフトウェアです。\n"
    "障害時の連絡先は総務部（内線1234）です。\n"
)


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def document(folder: Path, name: str, text: str, rules: Rules | None = None) -> Document:
    write(folder, {name: text})
    (file,) = [f for f in discover([folder]).files if f.source == name]
    return load(file, rules=rules).documents[0]


# Finding


def test_files_come_by_their_path_below_the_root(tmp_path: Path) -> None:
    write(tmp_path, {"b.md": "b", "手順/a.md": "a", "x.exe": "x", ".git/config": "x", "空.txt": ""})
    found = discover([tmp_path])
    assert [file.source for file in found.files] == ["b.md", "手順/a.md"]
    assert {(s.source, s.code) for s in found.skipped} == {
        (".git", "hidden"),
        ("x.exe", "unknown_format"),
        ("空.txt", "empty"),
    }


def test_a_single_file_is_known_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"deep/a.md": "a"})
    assert [file.source for file in discover([tmp_path / "deep" / "a.md"]).files] == ["a.md"]


def test_roots_that_hold_the_same_path_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"hr/a.md": "1", "it/a.md": "2", "it/b.md": "3", "qa/c.md": "4"})
    found = discover([tmp_path / "hr", tmp_path / "it", tmp_path / "qa"])
    assert [file.source for file in found.files] == ["c.md", "hr/a.md", "it/a.md", "it/b.md"]
    assert {file.inside for file in found.files} == {"a.md", "b.md", "c.md"}
    write(tmp_path, {"x/hr/a.md": "5"})
    found = discover([tmp_path / "hr", tmp_path / "x" / "hr"])
    assert [file.source for file in found.files] == ["hr-2/a.md", "hr/a.md"]


def test_a_file_reached_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "a", "sub/b.md": "b"})
    found = discover([tmp_path, tmp_path / "sub", tmp_path / "a.md"])
    assert [file.source for file in found.files] == ["a.md", "sub/b.md"]


def test_links_out_of_the_tree_are_reported_and_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.md": "秘密"})
    root = write(tmp_path / "root", {"a.md": "a"})
    (root / "out").symlink_to(outside)
    (root / "file.md").symlink_to(outside / "secret.md")
    (root / "in.md").symlink_to(root / "a.md")
    (root / "loop").symlink_to(root)
    (root / "broken.md").symlink_to(root / "none.md")
    found = discover([root])
    assert [file.source for file in found.files] == ["a.md"]
    codes = {s.source: s.code for s in found.skipped}
    assert codes == {"broken.md": "link_outside", "file.md": "link_outside", "out": "link_outside"}


def test_what_is_no_file_and_what_is_too_large(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "a", "large.md": "x" * 2000})
    os.mkfifo(tmp_path / "pipe.md")
    with (tmp_path / "sparse.pdf").open("wb") as file:
        file.truncate(3 * 2**30)
    found = discover([tmp_path], limits=Limits(file_bytes=1000))
    assert [file.source for file in found.files] == ["a.md"]
    codes = {s.source: s.code for s in found.skipped}
    assert codes == {"large.md": "too_large", "sparse.pdf": "too_large", "pipe.md": "special"}


def test_a_root_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="がありません"):
        discover([tmp_path / "none"])
    write(tmp_path, {"x.exe": "x"})
    with pytest.raises(SourceError, match="読める文書がありません（読めないファイルが 1 件"):
        discover([tmp_path])


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\x8b\x4b\x92\xf6.md"  # 規程 in Shift_JIS
    with open(raw, "wb") as file:
        file.write("本文".encode())
    (found,) = discover([tmp_path]).files
    assert load(found).documents[0].text == "本文"
    found.source.encode()  # no half characters


def test_the_name_of_a_mac_is_the_name_of_everybody(tmp_path: Path) -> None:
    write(tmp_path, {"か\u3099いよう.md": "概要"})
    assert discover([tmp_path]).files[0].source == "がいよう.md"


def test_a_file_that_vanishes_or_may_not_be_read(tmp_path: Path) -> None:
    gone = SourceFile(tmp_path / "none.md", "none.md", 1, 1)
    assert [s.code for s in load(gone).skipped] == ["vanished"]
    gone = SourceFile(tmp_path / "none.pdf", "none.pdf", 1, 1)
    assert [s.code for s in load(gone).skipped] == ["vanished"]
    folder = SourceFile(tmp_path, "folder.md", 1, 1)
    assert [s.code for s in load(folder).skipped] == ["permission"]


# Decoding


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "cp932",
        "euc_jp",
        "iso2022_jp",
    ],
)
def test_japanese_in_every_encoding(encoding: str) -> None:
    text, found = decode(JAPANESE.encode(encoding))
    assert text == JAPANESE
    assert found.replace("_", "-").split("-")[0] in encoding.replace("_", "-")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("ﾃｽﾄｼﾖｳｼｮ ｶﾌﾞｼｷｶﾞｲｼｬ\n", "cp932"),
        ("総務部人事課\n", "euc_jp"),
        ("総務部", "cp932"),
        ("①株式会社髙橋～部", "cp932"),
        ("École française: été à l'hôtel, déjà vu\n" * 3, "cp1252"),
        ("Größe über alles\n" * 5, "cp1252"),
        ("plain ASCII", "ascii"),
    ],
)
def test_short_and_foreign_texts(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding))[0] == text


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "会社の規程では、有給休暇を 取得するときは 前日までに申請します。 サーバー 2026年 API "
            "手順書を読んで ください。\n 担当者へ連絡 ・総務 （注）「はい」 ①".split(" ")
        ),
        min_size=6,
        max_size=60,
    ),
    st.sampled_from(["utf-8", "cp932", "euc_jis_2004", "iso2022_jp_ext", "utf-16"]),
)
def test_what_people_write_survives_every_encoding(words: list[str], encoding: str) -> None:
    text = "".join(words) + "です。"
    if encoding == "iso2022_jp_ext":
        text = text.replace("①", "1")
    assert decode(text.encode(encoding))[0] == text


def test_damage_is_told_and_binary_refused() -> None:
    text, encoding = decode(JAPANESE.encode()[:-5] + b"\n")
    assert encoding == "utf-8 (damaged)"
    assert "\ufffd" in text
    assert decode(JAPANESE.encode("cp932")[:-2])[1] == "cp932 (damaged)"
    for data in (bytes(range(256)) * 20, b"\x00" * 100, b"\x7fELF\x02\x01\x01\x00" * 40):
        with pytest.raises(UnreadableDocument) as error:
            decode(data)
        assert error.value.code in {"binary", "unknown_encoding"}


def test_damaged_text_is_indexed_and_reported(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": JAPANESE.encode()[:-5]})
    result = load(discover([tmp_path]).files[0])
    assert [s.code for s in result.skipped] == ["damaged_text"]
    assert len(result.documents) == 1


def test_text_is_tidied_and_else_left_alone() -> None:
    text, _ = decode("か\u3099き\u3099\r\nﾊﾝｶｸ Ａ１\r二\x0c三\x00\ufeff神\ufa19".encode())
    assert text == "がぎ\nﾊﾝｶｸ Ａ１\n二\n\n三神\ufa19"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        text, encoding = decode(data)
    except UnreadableDocument:
        return
    assert encoding
    assert not any(0xD800 <= ord(c) < 0xE000 or c == "\x00" for c in text)


# Repair


def test_ruby() -> None:
    text = (
        "｜経費精算《けいひせいさん》は総務《そうむ》課へ。総務《そうむ》は三階。" + "続く文。" * 30
    )
    assert without_ruby(text).startswith(
        "経費精算（けいひせいさん）は総務（そうむ）課へ。総務は三階。"
    )
    assert (
        without_ruby("今日《きょう》は学校《がっこう》へ行《い》きます") == "今日は学校へ行きます"
    )
    assert without_ruby("《重要》と《用語集》を見る") == "《重要》と《用語集》を見る"


def test_wrapped_lines_of_a_mail() -> None:
    wide = "来週の日曜日に、ファイルサーバーの入れ替え作業を行います。作業中は共有"
    assert unwrapped(f"{wide}\nフォルダーを使えません。") == f"{wide}フォルダーを使えません。"
    assert unwrapped(f"{wide}\n\n別の段落") == f"{wide}\n\n別の段落"
    katakana = wide.replace("作業中は共有", "対象のサーバー")
    assert unwrapped(f"{katakana}\nを使えません。") == f"{katakana}を使えません。"
    assert unwrapped("短い行\n次の行") == "短い行\n次の行"
    assert unwrapped(f"{wide}\n・項目") == f"{wide}\n・項目"
    latin = "This sentence was wrapped by a mail program at the seventy-second"
    assert unwrapped(f"{latin}\ncolumn.") == f"{latin} column."


WRAPPED = """（目的）
第１条　この規程は、役員および従業員が業務のために出張する場合の旅費について、その支給基準お
よび手続を定めることを目的とする。
（日当）
第２条　出張の日当は、次の各号に掲げるとおりとし、これによりがたいときは、所属長と人事部長が協
議する
第３条　宿泊費は実費とする。
２　前項にかかわらず、東京都区内に宿泊する場合は、１泊につき１万５千円を上限とし、領収書を添え
る。
"""


def test_wrapped_lines_of_a_text() -> None:
    joined = rejoined(WRAPPED)
    assert "その支給基準および手続を定めることを目的とする。\n（日当）\n第２条" in joined
    assert "協議する\n第３条　宿泊費は実費とする。\n２　前項" in joined
    assert joined.endswith("領収書を添える。\n")
    assert joined.count("\n") == WRAPPED.count("\n") - 3
    unmarked = WRAPPED + "この行は長く、折り返していない文書であることを示す。" * 3
    assert rejoined(unmarked) == unmarked
    short = "一行目は短い\n二行目も短い\n"
    assert rejoined(short) == short
    latin = "$ kubectl get pods --all-namespaces --output=wide --sort-by=.metadata\nNAME READY\n"
    assert rejoined(latin) == latin


def test_a_log_is_left_line_by_line(tmp_path: Path) -> None:
    said = "夜間の一括処理を開始しました、対象は全部で一万二千件の受注データと三千件の発注デー"
    dated = f"2026年11月2日 {said}\n" * 2
    assert document(tmp_path, "a.txt", dated).text == dated
    assert document(tmp_path, "a.log", f"{said}\n" * 2).text == f"{said}\n" * 2
    assert document(tmp_path, "b.txt", f"{said}\n" * 2).text == said * 2 + "\n"


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("令和6年4月1日", "2024-04-01"),
        ("平成元年1月8日", "1989-01-08"),
        ("R6.4.1", "2024-04-01"),
        ("２０２６年４月１日", "2026-04-01"),
        ("就業規則_20260401版", "2026-04-01"),
        ("2026/4/1 10:00", "2026-04-01"),
        ("規程_2024年10月版", "2024-10"),
        ("2026-13-01", ""),
        ("電話 03-1234-5678", ""),
        ("", ""),
    ],
)
def test_dates(said: str, date: str) -> None:
    assert iso_date(said) == date


def test_numbers_of_word() -> None:
    assert [kanji_number(n) for n in (1, 10, 12, 20, 105, 999)] == [
        "一", "十", "十二", "二十", "百五", "九百九十九",
    ]  # fmt: skip
    kinds = (
        "decimalFullWidth",
        "decimalEnclosedCircle",
        "aiueoFullWidth",
        "iroha",
        "upperRoman",
        "?",
    )
    assert [format_number(4, kind) for kind in kinds] == ["４", "④", "エ", "ニ", "IV", "4"]


# What a team says


def test_front_matter(tmp_path: Path) -> None:
    text = (
        "---\ntitle: 休暇の手引き\ndate: 2026-04-01\nurl: https://wiki.example.com/leave\n"
        "tags: [休暇, 人事]\ncollection: hr\n---\n# 見出し\n\n本文です。\n"
    )
    found = document(tmp_path, "a.md", text)
    assert (found.title, found.date, found.collection) == ("休暇の手引き", "2026-04-01", "hr")
    assert (found.url, found.tags) == ("https://wiki.example.com/leave", ("休暇", "人事"))
    assert found.text.startswith("# 見出し")
    assert found.outline[0].start == 0


@pytest.mark.parametrize(
    "head",
    [
        "---\nnot yaml: [\n---\n",
        "---\njust words\n---\n",
        "---\na: &a [x]\nb: [*a,*a]\n---\n",
        "---\ntitle: !!python/object/apply:os.system ['true']\n---\n",
        "---\nnever closed\n",
    ],
)
def test_a_head_that_is_none_stays_in_the_text(tmp_path: Path, head: str) -> None:
    found = document(tmp_path, "a.md", head + "本文です。\n")
    assert found.text.startswith("---")
    assert "本文です。" in found.text


def test_an_address_that_is_no_web_address_is_dropped(tmp_path: Path) -> None:
    for url in ("javascript:alert(1)", "file:///etc/passwd", "https://a b", "//x", "http://"):
        assert document(tmp_path, "a.md", f"---\nurl: '{url}'\n---\n本文").url == ""


def test_rules_beside_the_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sources.toml": '[[source]]\npath = "wiki/*"\nurl = "https://w.example.com/{below}"\n'
            'collection = "eng"\ntags = ["x"]\n\n[[source]]\npath = "規程.md"\ntitle = "就業規則"\n'
            'date = "令和8年4月1日"\n',
            "wiki/運用/手順.md": "手順です。",
            "規程.md": "---\ncollection: hr\n---\n規程です。",
            "人事/評価.md": "---\ncollection: eng\n---\n評価です。",
        },
    )
    rules = read_rules([tmp_path], {"secret": ["人事/"]})
    found = {f.source: load(f, rules=rules).documents[0] for f in discover([tmp_path]).files}
    assert set(found) == {"wiki/運用/手順.md", "規程.md", "人事/評価.md"}
    page = found["wiki/運用/手順.md"]
    assert page.url == "https://w.example.com/%E9%81%8B%E7%94%A8/%E6%89%8B%E9%A0%86.md"
    assert (page.collection, page.tags) == ("eng", ("x",))
    assert (found["規程.md"].title, found["規程.md"].date) == ("就業規則", "2026-04-01")
    assert found["規程.md"].collection == "hr"
    # the team's rule wins over what a document claims for itself
    assert found["人事/評価.md"].collection == "secret"


def test_a_rule_holds_whatever_lead_a_root_gets(tmp_path: Path) -> None:
    write(tmp_path, {"a/hr/x.md": "1", "b/hr/x.md": "2"})
    rules = Rules({"hr": ["hr/*"]})
    files = discover([tmp_path / "a", tmp_path / "b"]).files
    assert [f.source for f in files] == ["a/hr/x.md", "b/hr/x.md"]
    assert {load(f, rules=rules).documents[0].collection for f in files} == {"hr"}


@pytest.mark.parametrize(
    "text",
    ["[[source", "[source]\npath='a'", "[[source]]\nurl='https://a.b'", "[[source]]\npath='a'\nurll='x'",
     "[[source]]\npath='a'\nurl='ftp://x'", "[[source]]\npath='a'\ncollection='a b'"],
)  # fmt: skip
def test_malformed_rules_are_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"sources.toml": text, "a.md": "a"})
    with pytest.raises(SourceError, match=r"sources\.toml"):
        read_rules([tmp_path])


def test_a_collection_that_no_collection_may_be_called_is_ignored(tmp_path: Path) -> None:
    assert (
        document(tmp_path, "a.md", "---\ncollection: 'a b<'\n---\nx").collection
        == DEFAULT_COLLECTION
    )


def test_revision_tells_every_change_that_can_be_seen(tmp_path: Path) -> None:
    base = document(tmp_path, "a.md", "# 題\n\n本文")
    assert document(tmp_path, "a.md", "# 題\n\n本文").revision == base.revision
    assert document(tmp_path, "a.md", "# 題\n\n本文。").revision != base.revision
    moved = Rules({"x": ["a.md"]})
    assert document(tmp_path, "a.md", "# 題\n\n本文", moved).revision != base.revision
    assert moved.digest != Rules().digest
