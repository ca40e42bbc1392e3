"""Lines that a program cut at its margin, put together again: those of mails and of plain texts."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from index.sources.layout import WIDE, joint

WRAPPED_FROM = 60  # columns from which on a line may have been cut
MARGIN = 100  # columns up to which a text may have been wrapped by hand or by an editor
SHORT_OF = 4  # columns that a cut line may lack: no line begins with 。 or ends with （

_ENDS = re.compile(r"[。．.！？!?：:；;」』）)】…―─=_*-]$|ーー$")
_APART = re.compile(
    r"[\s　>＞|・●○■□◆◇※★→*#=_─━-]|[-*•]|[(（]?[0-9０-９①-⑳]{1,3}[.．)）、]|https?://"
)
_BEGINS = re.compile(  # rules and forms: 第3条, （目的）, 附則, 【注】, a number, a date
    r"第\s*[0-9０-９一二三四五六七八九十百]+\s*[編部章節款条項]|附\s*則|[(（][^（()）。]{1,30}[）)]$"
    r"|[0-9０-９]{1,3}[\s　]|[0-9０-９]{2,4}[-/年]|(?:令和|平成)[0-9０-９元]|[\u2500-\u257f【〔《]"
)


def unwrapped(text: str) -> str:
    """The text with lines joined that a mail program cut: long ones that end in no sentence."""
    return _joined(text, WRAPPED_FROM)


def rejoined(text: str) -> str:
    """The text with Japanese lines joined that all end at one margin. A text with a line beyond
    MARGIN columns was not wrapped, and is left as it is."""
    lines = text.split("\n")
    if max(map(len, lines)) > MARGIN:  # told without a look at every letter
        return text
    longest = max(map(_columns, lines))
    if not WRAPPED_FROM <= longest <= MARGIN:
        return text
    return _joined(text, longest - SHORT_OF, wide=True)


def _joined(text: str, least: int, *, wide: bool = False) -> str:
    """Lines of at least so many columns joined with the next; `wide`: only at a Japanese letter."""
    lines = text.split("\n")
    joined = lines[:1]
    for above, line in pairwise(lines):
        cut = (
            _columns(above) >= least
            and not _ENDS.search(above.rstrip())
            and line.strip()
            and not (_APART.match(line) or _BEGINS.match(line))
            and (wide or not _APART.match(above))
            and (not wide or WIDE.match(above.rstrip()[-1:]) or WIDE.match(line[:1]))
        )
        if cut:
            joined[-1] = joined[-1].rstrip() + joint(above.rstrip(), line) + line
        else:
            joined.append(line)
    return "\n".join(joined)


def _columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WFA" else 1 for letter in line)
