"""An encoder without a model: what two texts share in characters is what they share in meaning.

It keeps every promise of `index.encoder.Encoder`. A text's vector counts its characters and pairs
of neighbours in hashed places, so that texts with nothing in common are exactly orthogonal; each
character that is a letter or a digit is a token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from index.close_reader import CloseReader
from index.encoder import Encoding
from index.reader import Reader


class FakeEncoder:
    """Hashed character n-grams. `encoded` counts the documents it was given, `seed` names it:
    encoders of different seeds give different vectors and have different fingerprints."""

    dimension = 2048
    token_dimension = 32
    max_tokens = 10_000
    reader: Reader | None = None
    close_reader: CloseReader | None = None

    def __init__(self, seed: str = "") -> None:
        self.name = f"fake{seed}"
        self.fingerprint = blake2b(self.name.encode(), digest_size=8).hexdigest()
        self.encoded = 0

    def encode_queries(self, texts: Sequence[str]) -> Encoding:
        """Vectors, token vectors, weights and offsets of questions."""
        return self._encode(texts)

    def encode_documents(self, texts: Sequence[str]) -> Encoding:
        """The same of passages."""
        self.encoded += len(texts)
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Encoding:
        places = [[i for i, c in enumerate(text) if c.isalnum()] for text in texts]
        return Encoding(
            vectors=np.stack([self._vector(text) for text in texts])
            if texts
            else np.zeros((0, self.dimension), np.float32),
            tokens=[self._tokens(text, at) for text, at in zip(texts, places, strict=True)],
            weights=[_weights(text, at) for text, at in zip(texts, places, strict=True)],
            offsets=[np.array([(i, i + 1) for i in at], np.int32).reshape(-1, 2) for at in places],
        )

    def _vector(self, text: str) -> np.ndarray:
        vector = np.zeros(self.dimension, np.float32)
        letters = "".join(c if c.isalnum() else " " for c in text.casefold())
        for gram in (*letters, *map("".join, pairwise(letters))):
            if " " not in gram:
                vector[_hash(self.name, gram) % self.dimension] += 1.0
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector

    def _tokens(self, text: str, places: Sequence[int]) -> np.ndarray:
        rows = [_direction(self.name, text[place].casefold()) for place in places]
        return np.array(rows, np.float32).reshape(-1, self.token_dimension)


def _weights(text: str, places: Sequence[int]) -> np.ndarray:
    """Hiragana, mostly particles and endings, count for a tenth."""
    return np.array([0.1 if "ぁ" <= text[i] <= "ん" else 1.0 for i in places], np.float32)


@lru_cache(maxsize=100_000)
def _hash(name: str, gram: str) -> int:
    data = f"{name}\0{gram}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


@lru_cache(maxsize=100_000)
def _direction(name: str, gram: str) -> np.ndarray:
    """A unit vector that stands for a character."""
    random = np.random.default_rng(_hash(name, gram))
    vector = random.standard_normal(FakeEncoder.token_dimension).astype(np.float32)
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


class PartsFakeEncoder(FakeEncoder):
    """Gives a passage a vector for every line and every sentence too."""

    def __init__(self) -> None:
        super().__init__("-parts")

    def encode_documents(self, texts: Sequence[str]) -> Encoding:
        """What `FakeEncoder` gives, and `parts`: (vector of all + vector of the sentence) / 2."""
        encoding = super().encode_documents(texts)
        parts = [
            np.stack([(whole + self._vector(part)) / 2 for part in re.split("[。\n]", text)])
            for text, whole in zip(texts, encoding.vectors, strict=True)
        ]
        return replace(encoding, parts=parts)
