"""Bytes → text, for the encodings that Japanese files come in. Never silently lossy.

The order is from the surest sign to the weakest: a byte order mark, the escapes of ISO-2022-JP,
the zero bytes of UTF-16, strict UTF-8, then cp932 against EUC-JP by what the text would look like,
with charset-normalizer as judge where neither looks like Japanese.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from index.errors import UnreadableDocument

MARKS = (  # UTF-32 before UTF-16: its mark begins with the other's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ESCAPES = (b"\x1b$@", b"\x1b$B", b"\x1b(J", b"\x1b(I", b"\x1b$(")
SAMPLE = 200_000  # bytes looked at where a guess is needed
PLAUSIBLE = 0.8  # least of `_plausibility` that is taken for Japanese
TORN = 0.001  # share of broken bytes up to which a file is damaged rather than in another encoding
LEVEL_2 = b"\x98\x9f"  # where the less common kanji begin in cp932
NAMES = b"\xfa"  # and the vendors' own, 髙 and 﨑 among them
KANJI_SEEN = 2_000
STRAY = 10  # bytes for one zero byte, in a text that is not UTF-16
FOREIGN = ("cp1252", "gb18030", "big5", "euc_kr", "cp1251")

_KANA = re.compile(
    r"[\u2010-\u203b\u2190-\u25ff\u3000-\u30ff\uff01-\uff5e\u00d7\u00f7\u0391-\u0451]"
)
_KANJI = re.compile(r"[\u4e00-\u9fa0]")
_HALF_RUN = re.compile(r"[\uff66-\uff9f]{2,}")
_ODD = re.compile(
    r"[\uff61-\uff65]|(?<![\uff66-\uff9f])[\uff66-\uff9f](?![\uff66-\uff9f])"
    r"|[\x00-\x08\x0e-\x1f\x7f-\xa0\ue000-\uf8ff\ufffd]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff\ufffe\uffff]|[\ud800-\udfff]")
_VOICED = re.compile("[\u3041-\u30ff][\u3099\u309a]")


def decode(data: bytes) -> tuple[str, str]:
    """The text of `data`, tidied by `clean`, and the name of the encoding it was read in.

    A name with `(damaged)` behind it says that some bytes were replaced by U+FFFD.
    Raises UnreadableDocument (`binary`, `unknown_encoding`) when no encoding fits.
    """
    text, encoding = _decode(data)
    return clean(text), encoding


def clean(text: str) -> str:
    """Line ends as LF, page breaks as blank lines, controls removed, kana put together.

    Everything else stays as it was written: folding is for the search, not for the document.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n")
    text = _CONTROLS.sub("", text)
    return _VOICED.sub(lambda pair: unicodedata.normalize("NFC", pair[0]), text)


def _decode(data: bytes) -> tuple[str, str]:
    for mark, encoding in MARKS:
        if data.startswith(mark):
            text = _strictly(data, encoding)
            return (text, encoding) if text is not None else _damaged(data, encoding)
    if any(escape in data for escape in ESCAPES):
        for encoding in ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_3", "iso2022_jp_2004"):
            if (text := _strictly(data, encoding)) is not None:
                return text, encoding
    if b"\x00" in data[:SAMPLE]:
        return _wide(data)
    if (text := _strictly(data, "utf-8")) is not None:
        return text, "utf-8"
    if (text := _torn(data, "utf-8")) is not None:
        return text, "utf-8 (damaged)"
    return _japanese(data)


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, UnicodeError):
        return None


def _damaged(data: bytes, encoding: str) -> tuple[str, str]:
    return data.decode(encoding, "replace"), f"{encoding} (damaged)"


def _wide(data: bytes) -> tuple[str, str]:
    """Text with zero bytes: UTF-16 without a mark, in the byte order that looks right, or UTF-8."""
    even = data[: len(data) // 2 * 2]
    pieces = [("utf-16-le", even), ("utf-16-be", even)]
    if data.count(0) * STRAY < len(data):  # a few that some program left in an ordinary text
        pieces.append(("utf-8", data.replace(b"\x00", b"")))
    fits = [
        (_plausibility(text), encoding, text)
        for encoding, piece in pieces
        if (text := _strictly(piece, encoding)) is not None
    ]
    score, encoding, text = max(fits, default=(0.0, "", ""))
    if score < PLAUSIBLE:
        raise UnreadableDocument(
            "文字ではないデータが含まれているため、テキストとして読めません。", code="binary"
        )
    return text, encoding


def _torn(data: bytes, encoding: str) -> str | None:
    """The text of a file cut short or damaged in a few places: U+FFFD stands for what is lost."""
    sample = data[:SAMPLE]
    broken = sample.decode(encoding, "replace").count("\ufffd")
    if broken > max(1, int(len(sample) * TORN)):
        return None
    text = data.decode(encoding, "replace")
    beyond = sum(character > "\x7f" for character in text[:SAMPLE])
    return text if beyond > 8 * broken else None


def _japanese(data: bytes) -> tuple[str, str]:
    """cp932 or EUC-JP, whichever can be decoded and looks more like Japanese."""
    for decoder, note in ((_strictly, ""), (_torn, " (damaged)")):
        fits = [
            (_plausibility(text), encoding, text)
            for encoding in ("cp932", "euc_jp", "euc_jis_2004")
            if (text := decoder(data, encoding)) is not None
        ]
        fits.sort(key=lambda fit: -fit[0])  # stable: the plainer encoding wins a tie
        if fits and fits[0][0] >= PLAUSIBLE:
            return fits[0][2], fits[0][1] + note
    return _judged(data)


def _judged(data: bytes) -> tuple[str, str]:
    """What charset-normalizer says of bytes that do not look like Japanese."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SAMPLE], cp_isolation=list(FOREIGN)).best()
    if best is not None and (text := _strictly(data, best.encoding)) is not None:
        return text, best.encoding
    raise UnreadableDocument(
        "文字コードを判別できません。UTF-8 で保存し直してください。", code="unknown_encoding"
    )


def _plausibility(text: str) -> float:
    """How much the characters beyond ASCII look like Japanese, up to 1; 1 where there are none.

    Kana weigh more than kanji, because EUC-JP read as cp932 turns kana into half-width marks and
    half-width katakana read as EUC-JP turn into kanji; kanji of JIS level 2 weigh little, because
    accented Latin letters read as cp932 turn into them.
    """
    sample = text[:SAMPLE]
    odd = len(_ODD.findall(sample))
    beyond = sum(character > "\x7f" for character in sample) or odd
    if not beyond:
        return 1.0 if sample else 0.0
    kanji = _KANJI.findall(sample)
    seen = kanji[:KANJI_SEEN]
    usual = sum(not LEVEL_2 <= character.encode("cp932", "replace") < NAMES for character in seen)
    weight = (0.9 * usual + 0.3 * (len(seen) - usual)) / max(1, len(seen))
    half = sum(map(len, _HALF_RUN.findall(sample)))
    kana = len(_KANA.findall(sample))
    return (kana + weight * len(kanji) + 0.95 * half - odd) / max(beyond, odd)
