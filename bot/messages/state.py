"""What administrators read about the state of the service: `/readyz`, `kiku build`, `kiku doctor`."""

from __future__ import annotations

WORDS_ONLY = (
    "同梱のエンコーダーを読み込めないため、意味検索を使わず、語句だけで検索します。"
    "Kiku をインストールし直してください。"
)
NO_VECTORS = "索引に意味検索のベクトルがないため、語句だけで検索します。kiku build で作り直せます。"
VECTORS_KEPT = (
    "エンコーダーを読み込めないため、索引を作り直さず、意味検索のできるいまの索引を残しました。",
    "kiku doctor で原因を確かめてください。語句だけの索引に替えるなら、KIKU_HOME の generations を"
    "消してから kiku build を実行してください。",
)
