"""English questions to Japanese documents: which of their words a Japanese text can hold at all.

The vectors read both languages. The words do not: 「When was it released?」 is answered by 「公開」, and
counting `released` as missing makes every answer look unlikely. SudachiPy already knows loanwords
(container → コンテナ); what is left are endings, function words, and the everyday words of
technical texts that Japanese does not borrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from index.normalize import fold

_FUNCTION_WORDS = frozenset(
    (
        "the a an this that these those there here it its they them their he him his she her i me my you your we "
        "us our is are was were be been being am do does did doing done have has had having can could may might "
        "must shall should will would not no of to in on at by for from with without into onto over under about "
        "between through during before after since until than as if so and or but nor either both out up off "
        "what which who whom whose when where why how many much often long any some each every all also else "
        "isn aren wasn weren don doesn didn hasn haven hadn couldn won wouldn shouldn s t d m ll re ve "
        "get got go goes come comes make makes made let please tell explain show describe mean means happen "
        "happens thing things way"
    ).split()
)
# How Japanese technical texts say it; loanwords that SudachiPy knows are left to it.
_JAPANESE = {
    english: tuple(japanese.split())
    for line in """
        acquire: 買収 | add: 追加 足す | allow: 許可 許す | announce: 発表 | answer: 回答 | author: 作者
        automatic: 自動 | automatically: 自動 | available: 利用 使える | base: もと ベース | become: なる
        begin: 始める 開始 | belong: 所属 | benefit: 利点 | build: ビルド 作る | buy: 買収 購入
        call: 呼ぶ 呼び出す | cause: 原因 | change: 変更 変わる | check: 確認 | choose: 選ぶ | company: 会社 社
        compatibility: 互換 | compatible: 互換 | component: 部品 コンポーネント | configuration: 設定
        configure: 設定 | connect: 接続 | contain: 含む | copy: コピー 複製 | cost: 費用 料金 | country: 国
        create: 作る 作成 | customer: 顧客 | date: 日 | day: 日 | default: 既定 標準 デフォルト
        delete: 削除 消す | deprecate: 非推奨 | design: 設計 | develop: 開発 | developer: 開発者
        development: 開発 | differ: 違う | difference: 違い | directory: ディレクトリ フォルダー | disable: 無効
        drop: 廃止 外す | employee: 社員 従業員 | enable: 有効 | end: 終了 終わる | environment: 環境
        exceed: 超える | expire: 期限 切れる | fail: 失敗 | failure: 障害 失敗 | fast: 速い | faster: 速い
        feature: 機能 特徴 | fix: 修正 直す | found: 設立 創業 | foundation: 財団 | founder: 創業者 | free: 無料
        function: 機能 | goal: 目的 目標 | graduate: 卒業 | history: 歴史 | hour: 時間 | implement: 実装
        implementation: 実装 | improve: 改善 | include: 含む | increase: 増やす | install: 導入 インストール
        introduce: 導入 | isolate: 隔離 | isolation: 隔離 | keep: 保つ | kind: 種類 | language: 言語
        large: 大きい | last: 最後 | latest: 最新 | launch: 起動 | law: 法律 | leave: 残る | lifetime: 期間
        limit: 制限 上限 | link: リンク | list: 一覧 | log: ログ 記録 | machine: マシン 台 | maintain: 保守
        maintenance: 保守 | manage: 管理 | management: 管理 | member: 会員 | merge: 統合 | method: 方法
        migrate: 移行 | migration: 移行 | minute: 分 | month: 月 | move: 移る 移す | name: 名前 | need: 必要
        new: 新しい | number: 数 番号 | old: 古い | open: 開く | operate: 運用 | option: 選択肢 オプション
        organization: 団体 組織 | origin: 由来 | original: 元 当初 | originally: 元 当初 | output: 出力
        own: 所有 | owner: 所有者 | password: パスワード | pay: 支払う | people: 人 | performance: 性能
        period: 期間 | permission: 権限 | person: 人 | place: 場所 | prevent: 防ぐ | price: 料金 価格
        privilege: 権限 特権 | problem: 問題 | protect: 守る 保護 | provide: 提供 | publish: 公開
        purpose: 目的 | range: 範囲 | read: 読む | reason: 理由 | recommend: 推奨 勧める | reduce: 減らす
        refuse: 拒否 | register: 登録 | release: 公開 リリース | remove: 削除 | rename: 改名
        replace: 置き換える | request: 要求 | require: 必要 | requirement: 要件 | resource: 資源
        restart: 再起動 | return: 返す | role: 役割 | rule: 規則 ルール | run: 動く 実行 | safe: 安全
        save: 保存 | search: 検索 | secure: 安全 | security: 安全 セキュリティ | select: 選ぶ | send: 送る
        set: 設定 | setting: 設定 | setup: 設定 | share: 共有 | sign: 署名 | signature: 署名
        size: 大きさ サイズ | slow: 遅い | small: 小さい | specification: 仕様 | speed: 速さ | stable: 安定
        stage: 段階 | standard: 標準 | start: 始まる 始める 起動 | state: 状態 | status: 状態 | step: 手順
        stop: 停止 止まる | storage: ストレージ 保存 | store: 保存 | structure: 構造 | student: 学生
        successor: 後継 | supply: 提供 | support: サポート 対応 | switch: 切り替える | talk: 通信 | test: 試験
        time: 時間 回 | tool: 道具 ツール | transfer: 移す | type: 種類 | update: 更新 | upgrade: 更新 上げる
        use: 使う 利用 | user: 利用者 ユーザー | value: 値 | verify: 検証 | version: 版 バージョン
        vulnerability: 脆弱性 | week: 週 | work: 動く | write: 書く | written: 書く | wrote: 書く | year: 年
    """.replace("\n", "|").split("|")
    if ":" in line
    for english, japanese in [(part.strip() for part in line.split(":"))]
}  # fmt: skip
_ENDINGS = (
    ("ies", "y"), ("s", ""), ("es", ""), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"),
)  # fmt: skip
_DOUBLED = re.compile(r"([b-df-hj-np-tv-z])\1$")
_CAPITAL = re.compile(r"(?<!^)\b[A-Z]\w*")


def is_function_word(word: str) -> bool:
    """Whether a word of an English question, folded, says nothing about what is asked."""
    return word in _FUNCTION_WORDS


def names(question: str) -> set[str]:
    """The words of an English question that stand there as names, folded: with a capital letter
    where no sentence begins."""
    return {fold(name) for name in _CAPITAL.findall(question)} - _FUNCTION_WORDS


def stems(word: str) -> Iterator[str]:
    """A folded word, and what it may be without its ending: layers → layer, sharing → share."""
    yield word
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            yield stem + instead
            yield _DOUBLED.sub(r"\1", stem) + instead


def in_japanese(word: str) -> tuple[str, ...]:
    """How Japanese texts say an English word, folded, in any of its forms; empty where unknown."""
    return next((_JAPANESE[stem] for stem in stems(word) if stem in _JAPANESE), ())
