"""Train, export and measure the shipped encoder.

    python -m index.training all --data DIR --out DIR             every stage, from nothing
    python -m index.training all --data DIR --out DIR --init DIR  starting from an earlier encoder
    python -m index.training joint|export|reader|close-reader|evaluate …  one stage

Stages that have left their result in OUT are skipped; the joint stage goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from index.training.sources import Passage

log = logging.getLogger("index.training")

STAGES = (
    "tokenizer", "distill", "joint", "export", "reader", "close-reader", "evaluate", "glossary",
    "transliteration",
)  # fmt: skip


def main() -> None:
    """Parse the command line and run the stages it names."""
    parser = argparse.ArgumentParser(
        prog="python -m index.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=("all", *STAGES))
    parser.add_argument("--data", type=Path, required=True, help="folder described in sources.py")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints, logs and the model")
    parser.add_argument("--init", type=Path, help="an encoder folder in place of stages 1 to 3")
    parser.add_argument("--model", default="", help="evaluate: a folder or name, default OUT/model")
    parser.add_argument("--tasks", nargs="*", default=[], help="evaluate: only these")
    parser.add_argument(
        "--blend",
        type=float,
        default=1.0,
        help="export: the share of the joint stage in the weights, the rest is INIT's",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="changes",
                        help="joint: numbers of train.Schedule")  # fmt: skip
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(args.out / "log.txt")],
    )
    for noisy in ("sentence_transformers", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    recipe = Recipe(args.data, args.out, args.init, args.threads)
    chosen = STAGES if args.stage == "all" else (args.stage,)
    if "joint" in chosen:
        recipe.joint(_changes(args.changes))
    elif set(chosen) & {"tokenizer", "distill"}:
        recipe.start(chosen[-1])
    if "export" in chosen:
        recipe.export(args.blend)
    if "reader" in chosen:
        recipe.reader()
    if "close-reader" in chosen:
        recipe.close_reader()
    if "evaluate" in chosen:
        recipe.evaluate(args.model, args.tasks)
    if "glossary" in chosen:
        recipe.glossary()
    if "transliteration" in chosen:
        recipe.transliteration()


def _changes(settings: list[str]) -> dict[str, float]:
    from index.training.train import Schedule

    kinds = {f.name: f.type for f in fields(Schedule)}
    named = dict(setting.split("=", 1) for setting in settings)
    if unknown := set(named) - set(kinds):
        raise SystemExit(f"--set does not know {sorted(unknown)}; it knows {sorted(kinds)}")
    return {k: int(v) if kinds[k] == "int" else float(v) for k, v in named.items()}


class Recipe:
    """The stages, each of which leaves a folder in `out`."""

    def __init__(self, data: Path, out: Path, init: Path | None, threads: int) -> None:
        import torch

        from index.training.sources import load

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self._folder, self._out, self._init, self._threads = data, out, init, threads
        self._load = load
        self._loaded: Any = None

    @property
    def data(self) -> Any:
        """The training data, read once."""
        if self._loaded is None:
            self._loaded = self._load(self._folder)
        return self._loaded

    def tokenizer(self) -> Path:
        """Stage 1, or the tokenizer of the encoder to start from."""
        from index.training.teacher import read_teacher
        from index.training.tokenizer import cut_tokenizer, training_texts

        target = self._out / "tokenizer.json"
        if not target.exists():
            if self._init:
                shutil.copyfile(self._init / "tokenizer.json", target)
            else:
                cut_tokenizer(read_teacher(), training_texts(self.data), target)
        return target

    def start(self, last: str = "distill") -> Any:
        """The student that joint training begins with: `init`, or stages 1 to 3."""
        from tokenizers import Tokenizer

        from index.training.distill import distill, main_directions, pruned
        from index.training.student import Student
        from index.training.teacher import read_teacher

        tokenizer = Tokenizer.from_file(str(self.tokenizer()))
        if self._init:
            return Student.load(self._init)
        folder = self._out / "distill"
        if (folder / "model.safetensors").exists():
            return Student.load(folder)
        if last == "tokenizer":
            return None
        teacher = read_teacher()
        student = pruned(teacher, tokenizer)
        distill(student, tokenizer, teacher, self.data, folder)
        main_directions(student, tokenizer, self.data)
        student.save_weights(folder)
        student.body.config.save_pretrained(folder)
        return student

    def trainer(self, changes: dict[str, float]) -> Any:
        """The joint stage, at the step where it stopped."""
        from tokenizers import Tokenizer

        from index.training.practice import read_practice, sections_of
        from index.training.questions import asked_sections
        from index.training.reader_network import ReaderNetwork
        from index.training.train import Schedule, Trainer

        student = self.start()
        made = asked_sections(self.data.sections, random.Random(0))
        practice, held_out = map(sections_of, read_practice())
        trainer = Trainer(
            student,
            Tokenizer.from_file(str(self.tokenizer())),
            self.data,
            Schedule(**changes),  # type: ignore[arg-type]
            self._out / "joint",
            hard_negatives=self._hard_negatives(practice),
            pages={"manuals": [page for page in made if page.questions], "practice": practice},
            practice_held_out=held_out,
            reader=ReaderNetwork.of(self._init or self._out, student.token.out_features),
        )
        trainer.resume()
        return trainer

    def _hard_negatives(self, practice: Sequence[Passage]) -> dict[str, np.ndarray]:
        """Hard negatives of each kind, mined once: by words, and of practice documents, which are asked
        in other words than theirs, by the vectors of the encoder to start from by turns with them."""
        import numpy as np

        from index.encoder import load_encoder
        from index.training.mining import hard_negatives, nearest_negatives

        found = {}
        for kind, texts, asked in self._asked(practice):
            file = self._out / f"hard-negatives-{kind}.npy"
            if not file.exists():
                mined = hard_negatives(texts, asked)
                if kind == "practice" and self._init:
                    encoder = load_encoder(str(self._init), threads=self._threads)
                    near = nearest_negatives(encoder, texts, asked)
                    mined = np.stack([near, mined], axis=2).reshape(len(texts), -1)
                np.save(file, mined)
            found[kind] = np.load(file)
        return found

    def _asked(
        self, practice: Sequence[Passage]
    ) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Of each kind, the texts and what each is asked."""
        passages, sections = self.data.passages, self.data.sections
        for kind, texts in (("passages", passages), ("practice", practice)):
            asked = [[question for question, _ in p.questions[:3]] for p in texts]
            yield kind, [f"{p.title}\n{p.text}" for p in texts], asked
        headings = [[f"{s.title} {s.heading}"] for s in sections]
        yield "sections", [s.text for s in sections], headings

    def joint(self, changes: dict[str, float]) -> None:
        """Stage 4."""
        trainer = self.trainer(changes)
        if trainer.step == 0:
            trainer.check()
        trainer.run()

    def export(self, blend: float = 1.0) -> None:
        """Stage 5: the averaged weights as OUT/model, `blend` of them and the rest of the start's
        (weights between two ends of one training do better outside its data than either: Wortsman
        et al. 2022, arXiv 2109.01903)."""
        import torch

        from index.training.export import CARD, add_reader, write_model
        from index.training.reader_network import ReaderNetwork
        from index.training.student import Student

        state = torch.load(self._out / "joint" / "state.pt", map_location="cpu", weights_only=True)
        student: Student = self.start()
        reader = ReaderNetwork.of(self._init or self._out, student.token.out_features)
        for network, end in ((student, state["average"]), (reader, state["reader"])):
            start = network.state_dict()
            network.load_state_dict(
                {
                    name: torch.lerp(start[name], value, blend)
                    if value.is_floating_point()
                    else value
                    for name, value in end.items()
                }
            )
        write_model(student, self.tokenizer(), CARD.read_text("utf-8"), self._out / "model")
        add_reader(reader, self._out / "model")
        log.info("wrote %s (step %d)", self._out / "model", state["step"])

    def reader(self) -> None:
        """Stage 6: the reader, trained on the exported model and put beside it."""
        from index.training import reader as stage
        from index.training.export import add_reader
        from index.training.questions import asked_sections
        from index.training.reader_network import ReaderNetwork
        from index.training.student import TOKEN_DIMENSION

        model, home = self._out / "model", self._out / "reading"
        chooser = random.Random(0)
        passages = chooser.sample(self.data.passages, min(stage.PASSAGES, len(self.data.passages)))
        sections = chooser.sample(self.data.sections, min(stage.MANUALS, len(self.data.sections)))
        manuals = asked_sections(sections, chooser)
        articles = stage.index_of(
            stage.documents_of([*passages, *self.data.validation]), home / "articles", model
        )
        checked = stage.cases_of(articles, self.data.validation, stage.CHECKED)
        cases = stage.cases_of(articles, passages, stage.QUESTIONS)
        cases += stage.cases_of(
            stage.index_of(stage.documents_of(manuals), home / "manuals", model),
            manuals,
            stage.QUESTIONS,
        )
        network = ReaderNetwork.of(model, TOKEN_DIMENSION)
        add_reader(stage.train_reader(network, cases, checked), model)

    def close_reader(self) -> None:
        """Stage 7: the close reader, trained from the exported model's weights, or from the close reader
        that the model has, and put beside it."""
        from tokenizers import Tokenizer

        from index.close_reader import CHANGES
        from index.training import close_reader as stage
        from index.training.candidates import asked_of_passages, asked_of_practice, mined
        from index.training.close_examples import Examples, Packer
        from index.training.export import add_close_reader
        from index.training.practice import read_practice
        from index.training.questions import asked_sections
        from index.training.reader import documents_of, index_of
        from index.training.student import Student

        model, home = self._out / "model", self._out / "close-reading"
        chooser = random.Random(0)
        sections = chooser.sample(self.data.sections, min(stage.MANUALS, len(self.data.sections)))
        manuals = [page for page in asked_sections(sections, chooser) if page.questions]
        passages = [*self.data.passages, *manuals]
        retriever = index_of(documents_of(passages), home / "index", model)
        cases = mined(retriever, asked_of_passages(passages))
        chooser.shuffle(cases)
        practice, _ = read_practice()
        practised = index_of((own.document for own in practice), home / "practice", model)
        practice_cases = mined(practised, asked_of_practice(practice))
        network = stage.CloseReaderNetwork(Student.load(model))
        if (model / CHANGES).is_file():
            network.take_up(model)
        packer = Packer(Tokenizer.from_file(str(self.tokenizer())))
        trained, held_out = cases[: -stage.CHECKED], cases[-stage.CHECKED :]
        checked = [one for case in held_out if (one := packer.example(case, chooser))]
        examples = Examples(packer, trained, self.data.sections, self.data.pairs, practice_cases)
        add_close_reader(stage.train_close_reader(network, examples, checked, home), model)

    def evaluate(self, model: str, tasks: list[str]) -> None:
        """Stage 8: OUT/evaluation.json."""
        from index.training.evaluate import evaluate

        report = evaluate(
            model or str(self._out / "model"), self._folder, names=tasks, threads=self._threads
        )
        (self._out / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")

    def glossary(self) -> None:
        """What is no part of the encoder, but of the same data: OUT/glossary.tsv, for `index.english`."""
        from index.training import glossary

        glossary.write(glossary.learned(self.data.pairs), self._out / "glossary.tsv")

    def transliteration(self) -> None:
        """Likewise: OUT/transliteration.tsv, for `index.transliteration`."""
        from index.training import transliteration as stage

        rules = stage.learned(stage.readings(self.data.pairs))
        stage.write(rules, self._out / "transliteration.tsv")


if __name__ == "__main__":
    main()
