"""Encodes passages once for all peers of a large run, as they would: sentence-transformers, batches of
32 sorted by length. Runs in a peer's environment; prints the seconds it took, loading left out.

    python -m benchmarks.peers.encode ENCODER PASSAGES.jsonl VECTORS.npy
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks.peers.adapter import Passage

if __name__ == "__main__":
    encoder, passages, vectors = sys.argv[1:]
    with open(passages, encoding="utf-8") as lines:
        texts = [Passage(**json.loads(line)).whole for line in lines]
    model = SentenceTransformer(encoder, device="cpu")
    model.encode(texts[:32])
    began = time.perf_counter()
    found = model.encode(texts, normalize_embeddings=True)
    seconds = time.perf_counter() - began
    np.save(vectors, found.astype(np.float32))
    print(json.dumps(seconds))
