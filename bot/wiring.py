"""The composition root: settings → the objects that one process needs."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from bot.answer import Answerer, Composer, Memory
from bot.confidence import Calibration
from bot.errors import StoreUnavailable
from bot.messages.state import NO_VECTORS, VECTORS_KEPT, WORDS_ONLY
from bot.settings import Settings
from index.engines.choose import LOCAL, choose_engine, choose_shared
from index.errors import EncoderUnavailable, IndexMissing, IndexUnavailable, KikuError
from index.generation import Generation, Manifest, current_generation, write_durably
from index.query import Synonyms
from index.retrieve import Retriever
from index.words import load_dictionary

if TYPE_CHECKING:
    from bot.store import Store
    from index.build import BuildReport, Progress
    from index.encoder import Encoder
    from index.engines.contract import Engine
    from index.sharing import ShareReport

DEFAULT_ROOT = Path("corpus/documents")
CALIBRATION_FILE = "calibration.json"
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
_log = logging.getLogger(__name__)


class CurrentRetriever:
    """The retriever of the generation that is served now; a newly published one is picked up at the
    next question, while questions under way finish on the old one."""

    def __init__(self, engine: Engine, encoder: Encoder | None, synonyms: Synonyms) -> None:
        self._engine = engine
        self._encoder = encoder
        self._synonyms = synonyms
        self._opening = Lock()
        self._open: Retriever | None = None
        self._refused = ""

    def get(self) -> Retriever:
        """The current retriever. Raises IndexMissing, IndexDamaged or IndexMismatch while there has
        never been a good one; later a bad generation is reported and the good one goes on."""
        try:
            name = self._engine.served()
        except KikuError:
            if self._open is None:
                raise
            return self._open
        current = self._open
        if current is not None and name in (current.generation, self._refused):
            return current
        with self._opening:
            return self._swap(name)

    def _swap(self, name: str) -> Retriever:
        if self._open is not None and self._open.generation == name:
            return self._open
        try:
            # The old one is not closed: questions under way still read it, and the last of them
            # lets go of its files.
            self._open = Retriever.over(
                self._engine.open(), encoder=self._encoder, synonyms=self._synonyms
            )
        except KikuError as error:
            if self._open is None:
                raise
            if not isinstance(error, IndexUnavailable):  # which may be there again in a moment
                self._refused = name
            _log.error("generation %s is not served: %s", name, error.message)
        return self._open


class Reader:
    """What questions outside any conversation need. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder | None,
        *,
        memory: Memory | None = None,
        composer: Composer | None = None,
    ) -> None:
        self.settings = settings
        self.encoder = encoder
        self._engine = choose_engine(settings.store, settings.home)
        self._current = CurrentRetriever(self._engine, encoder, read_synonyms(settings))
        self.answerer = Answerer(
            self._current.get,
            memory=memory,
            composer=composer,
            calibration=read_calibration(settings),
            threshold=settings.threshold,
            max_question_chars=settings.max_question_chars,
        )

    @property
    def retriever(self) -> Retriever:
        """The retriever of the current generation; see `CurrentRetriever.get` for what it raises."""
        return self._current.get()

    def close(self) -> None:
        """Lets go of the index."""
        self._engine.close()


class Kiku(Reader):
    """Everything one process needs. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder | None,
        store: Store,
        *,
        composer: Composer | None = None,
    ) -> None:
        super().__init__(settings, encoder, memory=store, composer=composer)
        self.store = store

    def ready(self) -> dict[str, str]:
        """Each part with `ok` or a sentence that says what is wrong."""
        state = {"index": "ok", "encoder": "ok", "store": "ok"}
        try:
            dense = self.retriever.dense
            if self.encoder and not dense:
                state["encoder"] = NO_VECTORS
        except KikuError as error:
            state["index"] = f"{error.message} {error.hint}".strip()
        if self.encoder is None:
            state["encoder"] = WORDS_ONLY
        try:
            self.store.check()
        except StoreUnavailable as error:
            state["store"] = error.message
        return state

    def rebuild(self) -> BuildReport:
        """Builds the index anew from the remembered folders."""
        return build_index(self.settings, (), encoder=self.encoder)

    def close(self) -> None:
        """Lets go of the databases."""
        self.store.close()
        super().close()


def connect(settings: Settings) -> Kiku:
    """Opens the encoder and the store. A missing index is no obstacle: it is looked for at every
    question. Raises EncoderUnavailable for an encoder that the settings name, StoreUnavailable,
    SettingsError."""
    keep_memory_together()
    with _opening_encoder(settings) as encoder:
        from bot.store import Store

        settings.home.mkdir(parents=True, exist_ok=True)
        store = Store.open(settings.database_url, retention_days=settings.retention_days)
        load_dictionary()
    multiply_on_one_thread()
    return Kiku(settings, encoder.result()[0], store, composer=_composer(settings))


def open_reader(settings: Settings) -> Reader:
    """Opens what questions outside any conversation need: the store, which takes as long to load as
    the encoder, stays closed. Raises EncoderUnavailable and SettingsError like `connect`."""
    with _opening_encoder(settings) as encoder:
        load_dictionary()
    multiply_on_one_thread()
    return Reader(settings, encoder.result()[0], composer=_composer(settings))


@contextmanager
def _opening_encoder(settings: Settings) -> Iterator[Future[tuple[Encoder | None, str]]]:
    """Opens the encoder beside what the caller does meanwhile: most of it needs no interpreter."""
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(open_encoder, settings)


def open_encoder(settings: Settings) -> tuple[Encoder | None, str]:
    """The encoder and an empty sentence; None and a notice where the shipped one cannot be used.
    What is wrong with it goes to the log."""
    from index.encoder import load_encoder

    try:
        return load_encoder(settings.encoder, threads=settings.threads), ""
    except EncoderUnavailable as error:
        if settings.encoder:
            raise
        _log.warning("%s %s", error.message, error.hint)
        return None, WORDS_ONLY


def keep_memory_together() -> None:
    """Has threads share what memory they let go of, where the C library is glibc: it keeps up to eight
    arenas a core, and eight threads that ask were seen to hold 45 MiB more than two."""
    import ctypes

    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_ARENA_MAX, max(2, os.cpu_count() or 1))


def multiply_on_one_thread() -> None:
    """Keeps NumPy's products on the thread that asks for them. They are small: shared out between
    the cores, most of the time goes by in waiting for each other, and half of a processor with it.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


def read_calibration(settings: Settings) -> Calibration:
    """The team's own calibration or the shipped one; a threshold that is set wins over a fitted one."""
    found = Calibration.read(settings.home / CALIBRATION_FILE)
    return replace(found, threshold=None) if "threshold" in settings.model_fields_set else found


def read_synonyms(settings: Settings) -> Synonyms:
    """The team's vocabulary; none where the default file is not there."""
    if not settings.synonyms.is_file() and "synonyms" not in settings.model_fields_set:
        return Synonyms()
    return Synonyms.read(settings.synonyms)


def build_index(
    settings: Settings,
    roots: Sequence[Path],
    *,
    encoder: Encoder | None,
    progress: Progress = lambda stage, done, total: None,
) -> BuildReport:
    """Builds from `roots`, which are then remembered, or from the remembered ones.

    The index is built in the home folder, which remembers what was read and encoded. Where the store
    is a database, what is new is then copied there. Raises EncoderUnavailable where there is none and
    the served index was made by one: it would be replaced by a lesser one.
    """
    from index.build import build_sources
    from index.sources import read_rules

    if encoder is None and _made_by_an_encoder(settings.home):
        message, hint = VECTORS_KEPT
        raise EncoderUnavailable(message, hint=hint)
    chosen = [path.expanduser().resolve() for path in roots] or remembered_roots(settings.home)
    rules = read_rules(chosen, settings.collections)
    shared = choose_shared(settings.store)
    report = build_sources(
        settings.home,
        chosen,
        encoder=encoder,
        rules=rules,
        keep=settings.keep_generations,
        vectors=settings.vectors,
        shared=shared,
        progress=progress,
    )
    if roots:
        remembered = json.dumps([str(path) for path in chosen], ensure_ascii=False)
        write_durably(settings.home / "sources.json", remembered.encode())
    copied = copy_index(settings, settings.store, progress=progress)
    if shared is not None and copied:
        shared.clear()
    return replace(report, changed=report.changed or copied)


def encode_share(
    settings: Settings,
    roots: Sequence[Path],
    share: tuple[int, int],
    *,
    encoder: Encoder,
    progress: Progress = lambda stage, done, total: None,
) -> ShareReport:
    """Encodes a share of the files, for a build to come; see `index.sharing`."""
    from index.sharing import encode_share as encode
    from index.sources import read_rules

    chosen = [path.expanduser().resolve() for path in roots] or remembered_roots(settings.home)
    rules = read_rules(chosen, settings.collections)
    shared = choose_shared(settings.store)
    return encode(
        settings.home, chosen, share, encoder=encoder, rules=rules, shared=shared, progress=progress
    )


def copy_index(
    settings: Settings,
    store: str,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> bool:
    """Serves the index of the home folder from a store too, as it is: nothing is read or encoded
    again. False where it was served there already."""
    engine = choose_engine(store, settings.home)
    generation = Generation(current_generation(settings.home))
    try:
        return engine.publish(generation, keep=settings.keep_generations, progress=progress)
    finally:
        generation.close()
        engine.close()


def migrate_index(
    settings: Settings,
    to: str,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> bool:
    """Serves the index of the store that is set from another store too. False where it was there.

    What lies in a database is brought home first, unless the home folder has it. Raises
    IndexMismatch where another encoder made it.
    """
    from index.bringing import bring_home

    brought = False
    with closing(choose_engine(settings.store, settings.home)) as engine:
        if settings.store != LOCAL and not _is_home(settings.home, engine.served()):
            generation = engine.open()
            encoder = open_encoder(settings)[0] if generation.manifest.encoder.dimension else None
            keep = settings.keep_generations
            bring_home(generation, settings.home, encoder=encoder, keep=keep, progress=progress)
            brought = True
    return copy_index(settings, to, progress=progress) or brought


def _made_by_an_encoder(home: Path) -> bool:
    """Whether the index that is served from the home folder has vectors."""
    try:
        return bool(Manifest.read(current_generation(home)).encoder.dimension)
    except KikuError:
        return False


def _is_home(home: Path, generation: str) -> bool:
    """Whether the home folder serves a generation, if it serves any."""
    try:
        return current_generation(home).name == generation
    except KikuError:
        return False


def remembered_roots(home: Path) -> list[Path]:
    """The folders of the last build, or the corpus that comes with Kiku."""
    try:
        return [Path(path) for path in json.loads((home / "sources.json").read_text("utf-8"))]
    except FileNotFoundError:
        return [DEFAULT_ROOT]
    except (OSError, ValueError, TypeError):
        raise IndexMissing(
            "どのフォルダーを索引に入れるかの記録 sources.json を読めません。",
            hint="kiku build にフォルダーを渡して、もう一度記録してください。",
        ) from None


def _composer(settings: Settings) -> Composer | None:
    if not settings.llm_url:
        return None
    from bot.compose.llm import connect_composer

    return connect_composer(settings)
