"""Everything that `index` raises on purpose.

KikuError
├── SettingsError        a setting is unknown or malformed
├── SourceError          a path that was to be indexed cannot be used at all
├── UnreadableDocument   one file cannot be read; the build skips and reports it
├── IndexMissing         nothing has been built yet
├── IndexDamaged         a file of the index is missing, cut short or changed
├── IndexMismatch        the index was built by another encoder or another version
├── IndexUnavailable     the database that holds the index does not answer
├── BuildRunning         another build holds the lock
├── HomeUnwritable       the home folder cannot be written: read-only, full, not allowed
├── EncoderUnavailable   the encoder cannot be loaded
├── DatasetError         an evaluation set cannot be read
└── QueryError           the question cannot be searched for

The message is one sentence a person can act on; `hint` says what to do where that is a second one.
`code` is stable and meant for machines.
"""

from __future__ import annotations


class KikuError(Exception):
    """An expected failure, told in one sentence."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(KikuError):
    """A setting is unknown or malformed."""

    code = "bad_setting"


class SourceError(KikuError):
    """A path that was to be indexed does not exist, is empty, or may not be read."""

    code = "bad_source"


class UnreadableDocument(KikuError):
    """One file cannot be read; the build goes on without it. Subclass-free: `code` is an argument."""

    def __init__(self, message: str, *, code: str = "unreadable", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class IndexMissing(KikuError):
    """Nothing has been built yet."""

    code = "index_missing"


class IndexDamaged(KikuError):
    """A file of the index is missing, cut short or changed."""

    code = "index_damaged"


class IndexMismatch(KikuError):
    """The index was built by another encoder, tokenizer or format version."""

    code = "index_mismatch"


class IndexUnavailable(KikuError):
    """The database that holds the index does not answer, or refuses."""

    code = "index_unavailable"


class BuildRunning(KikuError):
    """Another build of the same index is under way."""

    code = "build_running"


class HomeUnwritable(KikuError):
    """The home folder cannot be written: it is read-only, the disk is full, or it is not ours."""

    code = "home_unwritable"


class EncoderUnavailable(KikuError):
    """The encoder cannot be loaded."""

    code = "encoder_unavailable"


class DatasetError(KikuError):
    """An evaluation set cannot be read."""

    code = "bad_dataset"


class QueryError(KikuError):
    """The question is empty, too long, or holds nothing that could be searched for."""

    code = "bad_question"
