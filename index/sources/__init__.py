"""Files of many formats → Documents.

`discover` finds the files below the roots, `load` reads one. A bad file is reported, not raised.
"""

from index.sources.discover import discover
from index.sources.load import Loader, load
from index.sources.rules import Rules, SourceRule, read_rules
from index.sources.types import Discovery, Limits, Loaded, Part, SourceFile

__all__ = [
    "Discovery",
    "Limits",
    "Loaded",
    "Loader",
    "Part",
    "Rules",
    "SourceFile",
    "SourceRule",
    "discover",
    "load",
    "read_rules",
]
