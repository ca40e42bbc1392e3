"""`make speed`: the benchmarks that need nothing but this repository. The others say what they need:
`python -m benchmarks.peers` (`make bench`), `http_load`, `slack_load` and `ingest`."""

from __future__ import annotations

from benchmarks import answers, encoder

if __name__ == "__main__":
    answers.main()
    encoder.main()
