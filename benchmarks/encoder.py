"""How fast the shipped encoder is: passages of 200 tokens a second, milliseconds a query, start-up.

    python benchmarks/encoder.py [--threads 2] [--encoder NAME]

Prints one table; figures in docs/encoder.md come from here, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time

from index.encoder import Encoder, load_encoder

WORDS = (
    "コンテナ", "設定", "サーバー", "する", "場合", "は", "を", "ネットワーク", "の", "に",
    "ファイル", "起動", "ログ", "確認", "Docker", "できない", "。", "メモリ", "更新", "手順",
)  # fmt: skip
TOKENS = 200
QUERY = "コンテナのログはどこで確認できますか？"


def passage(encoder: Encoder, rng: random.Random) -> str:
    """A text of about `TOKENS` tokens."""
    text = "".join(rng.choice(WORDS) for _ in range(TOKENS))
    offsets = encoder.encode_documents([text]).offsets
    if offsets and len(offsets[0]) > TOKENS:
        text = text[: int(offsets[0][TOKENS - 1][1])]
    return text


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="")
    parser.add_argument("--passages", type=int, default=256)
    args = parser.parse_args()
    began = time.perf_counter()
    encoder = load_encoder(args.encoder, threads=args.threads)
    encoder.encode_queries([QUERY])
    print(f"load and first query   {time.perf_counter() - began:8.2f} s")
    rng = random.Random(0)
    texts = [passage(encoder, rng) for _ in range(32)] * (args.passages // 32)
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        encoder.encode_documents(texts)
        rates.append(len(texts) / (time.perf_counter() - began))
    print(f"passages of {TOKENS} tokens {max(rates):8.1f} a second")
    times = []
    for _ in range(200):
        began = time.perf_counter()
        encoder.encode_queries([QUERY])
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    print(f"query, median          {statistics.median(times):8.2f} ms")
    print(f"query, 95th percentile {times[189]:8.2f} ms")
    print(f"{args.threads} threads, load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
