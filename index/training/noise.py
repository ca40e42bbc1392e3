"""How people really type: the noise put on training queries, so that it does no harm later.

Full-width letters, case, dropped long vowels, katakana for product names, small typos in Latin
words, and keywords instead of a sentence. Nothing here runs when serving.
"""

from __future__ import annotations

import random
import re

# Written for this project: how product and technology names are said in katakana.
KATAKANA_NAMES: tuple[tuple[str, str], ...] = tuple(
    (latin, kana)
    for line in """
    Docker ドッカー|Docker ドッカ|Kubernetes クバネティス|Kubernetes クーベネティス
    Kubernetes クバネテス|Kubernetes クーバネティス|Red_Hat レッドハット|Ubuntu ウブンツ
    Ubuntu ウブントゥ|Linux リナックス|Windows ウィンドウズ|Windows ウインドウズ|Python パイソン
    Java ジャバ|JavaScript ジャバスクリプト|TypeScript タイプスクリプト|Ruby ルビー|Rust ラスト
    PowerShell パワーシェル|Azure アジュール|AWS エーダブリューエス|Amazon アマゾン
    Google グーグル|Microsoft マイクロソフト|Apple アップル|GitHub ギットハブ|Git ギット
    GitLab ギットラボ|Slack スラック|Teams チームズ|Zoom ズーム|Excel エクセル|Word ワード
    Outlook アウトルック|PowerPoint パワーポイント|SharePoint シェアポイント|OneDrive ワンドライブ
    Office オフィス|Visual_Studio ビジュアルスタジオ|SQL_Server エスキューエルサーバー
    SQL エスキューエル|MySQL マイエスキューエル|PostgreSQL ポストグレスキューエル
    PostgreSQL ポスグレ|Oracle オラクル|MongoDB モンゴディービー|Redis レディス
    Elasticsearch エラスティックサーチ|Kafka カフカ|Nginx エンジンエックス|Apache アパッチ
    Tomcat トムキャット|Jenkins ジェンキンス|Ansible アンシブル|Terraform テラフォーム
    Vagrant ベイグラント|Helm ヘルム|Istio イスティオ|Prometheus プロメテウス|Grafana グラファナ
    Podman ポッドマン|OpenShift オープンシフト|Debian デビアン|CentOS セントオーエス
    Fedora フェドラ|Alpine アルパイン|VMware ヴイエムウェア|VirtualBox バーチャルボックス
    Hyper-V ハイパーブイ|Xen ゼン|Active_Directory アクティブディレクトリ|Exchange エクスチェンジ
    Android アンドロイド|iPhone アイフォーン|iOS アイオーエス|Chrome クローム|Firefox ファイアフォックス
    Edge エッジ|Safari サファリ|Django ジャンゴ|Flask フラスク|Rails レイルズ|React リアクト
    Angular アンギュラー|Vue ビュー|Node.js ノードジェイエス|Deno ディーノ|npm エヌピーエム
    NumPy ナムパイ|pandas パンダス|TensorFlow テンソルフロー|PyTorch パイトーチ|Jupyter ジュピター
    Jira ジラ|Jira ジーラ|Confluence コンフルエンス|Notion ノーション|Trello トレロ|Backlog バックログ
    Kintone キントーン|Salesforce セールスフォース|Twitter ツイッター|Facebook フェイスブック
    YouTube ユーチューブ|LINE ライン|Unix ユニックス|macOS マックオーエス|Mac マック|Intel インテル
    NVIDIA エヌビディア|IBM アイビーエム|Cisco シスコ|Dell デル|Adobe アドビ|Photoshop フォトショップ
    Bluetooth ブルートゥース|Wi-Fi ワイファイ|Ethernet イーサネット|USB ユーエスビー
    VPN ブイピーエヌ|API エーピーアイ|HTTP エイチティーティーピー|XML エックスエムエル
    JSON ジェイソン|JSON ジェーソン|YAML ヤムル|HTML エイチティーエムエル|PDF ピーディーエフ
    CPU シーピーユー|GPU ジーピーユー|container コンテナ|container コンテナー|cluster クラスタ
    cluster クラスター|server サーバ|server サーバー|browser ブラウザ|browser ブラウザー
    user ユーザ|user ユーザー|folder フォルダ|folder フォルダー|driver ドライバ|driver ドライバー
    compiler コンパイラ|compiler コンパイラー|parameter パラメータ|parameter パラメーター
    pod ポッド|node ノード|namespace ネームスペース|namespace 名前空間|volume ボリューム
    image イメージ|registry レジストリ|deployment デプロイメント|deploy デプロイ|network ネットワーク
    firewall ファイアウォール|proxy プロキシ|router ルータ|router ルーター|password パスワード
    login ログイン|account アカウント|cache キャッシュ|thread スレッド|class クラス|method メソッド
    function 関数|variable 変数|array 配列|string 文字列|pointer ポインタ|pointer ポインター
    template テンプレート|exception 例外|debug デバッグ|build ビルド|install インストール
    update アップデート|upgrade アップグレード|backup バックアップ|restore リストア|restore 復元
    """.replace("\n", "|").split("|")
    if line.strip()
    for latin, kana in [line.strip().replace("_", "\u00a0").split(" ")]
)

_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z.+#-]*[A-Za-z+#]")
_LONG_VOWEL = re.compile(r"(?<=[ァ-ヴ])ー(?![ァ-ヴー])")
_PARTICLE = re.compile(
    r"(?<=[一-龠ァ-ヴーA-Za-z0-9」』])(?:は|が|を|に|の|で|と|へ|も|って)(?=[一-龠ァ-ヴA-Za-z0-9「『])"
)
_QUESTION_ENDING = re.compile(
    r"(?:は?(?:何|なに|なん|誰|だれ|どこ|いつ|どれ|どの[^、。?？]{1,4})"
    r"(?:です|でしょう|だった|でした|になります|になる|に|の|を|が|から|まで)?[^一-龠、]{0,8})?[?？。]*$"
)
_CONTENT = re.compile(r"[一-龠々]+|[ァ-ヴー]{2,}|[A-Za-z0-9][A-Za-z0-9.+#_-]*")


def names_by_spelling() -> dict[str, list[str]]:
    """Each spelling (lower case) of a name with the other spellings of the same name."""
    spellings: dict[str, list[str]] = {}
    for latin, kana in KATAKANA_NAMES:
        latin = latin.replace("\u00a0", " ")
        spellings.setdefault(latin.lower(), []).append(kana)
        spellings.setdefault(kana, []).append(latin)
    return spellings


class QueryNoise:
    """Rewrites a query the way somebody in a hurry would have typed it."""

    def __init__(self, names: dict[str, list[str]] | None = None) -> None:
        self._names = names_by_spelling() if names is None else names
        self._name = re.compile(
            "|".join(
                rf"(?<![A-Za-z]){re.escape(n)}(?![A-Za-z])" if n.isascii()
                else rf"(?<![ァ-ヴー]){re.escape(n)}(?![ァ-ヴー])"
                for n in sorted(self._names, key=len, reverse=True)
            ),
            re.IGNORECASE,
        )  # fmt: skip

    def __call__(self, query: str, rng: random.Random, *, strength: float = 1.0) -> str:
        """`strength` scales every probability; 0 returns the query as it is."""
        for chance, rewrite in (
            (0.25, self.respell),
            (0.08, keywords),
            (0.12, drop_particles),
            (0.10, drop_ending),
            (0.15, drop_long_vowels),
            (0.10, typo),
            (0.10, change_case),
            (0.08, change_width),
        ):
            if rng.random() < chance * strength:
                query = rewrite(query, rng) or query
        return query

    def respell(self, query: str, rng: random.Random) -> str:
        """Docker → ドッカー, サーバー → サーバ or server."""
        return self._name.sub(lambda m: rng.choice(self._names[m[0].lower()]), query)


def keywords(query: str, rng: random.Random) -> str:
    """Content words only, as typed into a search box."""
    words = _CONTENT.findall(query)
    return " ".join(words) if len(words) >= 2 else query


def drop_particles(query: str, rng: random.Random) -> str:
    return _PARTICLE.sub(lambda m: " " if rng.random() < 0.6 else m[0], query)


def drop_ending(query: str, rng: random.Random) -> str:
    """ "梅雨とは何ですか?" → "梅雨とは"."""
    shorter = _QUESTION_ENDING.sub("", query)
    return shorter if len(shorter) >= 6 else query


def drop_long_vowels(query: str, rng: random.Random) -> str:
    return _LONG_VOWEL.sub("", query)


def typo(query: str, rng: random.Random) -> str:
    """One swapped, dropped or doubled letter in one Latin word of four letters or more."""
    words = [m for m in _LATIN_WORD.finditer(query) if len(m[0]) >= 4]
    if not words:
        return query
    word = rng.choice(words)
    at = word.start() + rng.randrange(1, len(word[0]) - 1)
    kind = rng.choice(("swap", "drop", "double"))
    if kind == "swap":
        return query[:at] + query[at + 1] + query[at] + query[at + 2 :]
    if kind == "drop":
        return query[:at] + query[at + 1 :]
    return query[:at] + query[at] + query[at:]


def change_case(query: str, rng: random.Random) -> str:
    return query.lower() if rng.random() < 0.7 else query.upper()


def change_width(query: str, rng: random.Random) -> str:
    """ASCII letters, digits and signs in their full-width forms."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in query)
