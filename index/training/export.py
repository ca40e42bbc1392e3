"""Writes the model folder: a sentence-transformers model, the token head, the ONNX graph over the
same weight files, and the digests that `index.encoder` checks at load."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from index.close_reader import CHANGES, LAYERS
from index.close_reader import GRAPH as CLOSE_GRAPH
from index.encoder import DIGESTS, GRAPH, INT8_GRAPH, MAX_TOKENS
from index.reader import FILE as READER
from index.training.close_reader import CloseReaderNetwork
from index.training.graph import Shape
from index.training.reader_network import ReaderNetwork
from index.training.student import HEAD_FILE, Student

CARD = Path(__file__).with_name("model_card.md")


def write_model(student: Student, tokenizer: Path, card: str, target: Path) -> None:
    """Put the model into `target`, replacing what is there in one rename.

    `tokenizer` is a tokenizer.json; `card` becomes README.md.
    """
    import onnx

    from index.training.graph import build

    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    student.save_weights(folder)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    config = student.body.config
    for name, content in _settings(config.to_dict()).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    (folder / "README.md").write_text(card, "utf-8")
    shape = _shape(student, layers=config.num_hidden_layers)
    weights = ("model.safetensors", HEAD_FILE)
    graphs = {GRAPH: False, INT8_GRAPH: True}
    for name, quantized in graphs.items():
        onnx.save(build(folder, shape, weights, quantized=quantized), str(folder / name))
    _write_digests(folder, ("config.json", *graphs, *weights, "tokenizer.json"))
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o755 if file.is_dir() else 0o644)
    _replace(folder, target)


def add_reader(network: ReaderNetwork, folder: Path) -> None:
    """Put the reader beside the encoder that it was trained on."""
    np.savez(folder / READER, allow_pickle=False, **network.weights())
    names = json.loads((folder / DIGESTS).read_text("utf-8"))
    _write_digests(folder, dict.fromkeys([*names, READER]))


def add_close_reader(network: CloseReaderNetwork, folder: Path) -> None:
    """Put the close reader beside the encoder that it was trained from."""
    import onnx

    from index.training.graph import build_close_reader

    student = Student.load(folder)
    save_file(dict(sorted(network.changes(student).items())), folder / CHANGES)
    shape = _shape(student, layers=LAYERS)
    graph = build_close_reader(folder, shape, ("model.safetensors", CHANGES))
    onnx.save(graph, str(folder / CLOSE_GRAPH))
    (folder / CHANGES).chmod(0o644)
    names = json.loads((folder / DIGESTS).read_text("utf-8"))
    _write_digests(folder, dict.fromkeys([*names, CHANGES, CLOSE_GRAPH]))


def _shape(student: Student, *, layers: int) -> Shape:
    config = student.body.config
    return Shape(
        layers=layers,
        heads=config.num_attention_heads,
        hidden=config.hidden_size,
        token_dimension=student.token.out_features,
        epsilon=config.layer_norm_eps,
    )


def _write_digests(folder: Path, names: Iterable[str]) -> None:
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / DIGESTS).write_text(json.dumps(digests, indent=2) + "\n")


def _replace(folder: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _settings(config: dict[str, object]) -> dict[str, object]:
    keep = (
        "architectures", "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob",
        "hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps",
        "max_position_embeddings", "model_type", "num_attention_heads", "num_hidden_layers",
        "pad_token_id", "type_vocab_size", "vocab_size",
    )  # fmt: skip
    modules = "sentence_transformers.models"
    return {
        "config.json": {**{k: config[k] for k in keep if k in config},
                        "architectures": ["BertModel"], "dtype": "float32"},
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{modules}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{modules}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{modules}.Normalize"},
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": config["hidden_size"],
                                  "pooling_mode_mean_tokens": True},
        "2_Normalize/config.json": {},
        "sentence_bert_config.json": {"max_seq_length": MAX_TOKENS, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "", "document": ""},
                                              "similarity_fn_name": "cosine"},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS,
            "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
            "unk_token": "[UNK]", "mask_token": "[MASK]",
        },
    }  # fmt: skip
