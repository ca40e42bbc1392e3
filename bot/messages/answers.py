"""What people read instead of an answer, and what is wrong with a question."""

from __future__ import annotations

from bot.records import Language

_NOT_FOUND = {
    "ja": (
        "お探しの答えは、登録されている文書の中には見つかりませんでした。"
        "近い内容の箇所を示しますので、言葉を変えてもう一度お試しください。"
    ),
    "en": (
        "The indexed documents do not answer this question. The nearest passages are shown; "
        "please try other words."
    ),
}
_NOTHING_NEAR = {
    "ja": (
        "お探しの答えは、登録されている文書の中には見つかりませんでした。"
        "言葉を変えてもう一度お試しください。"
    ),
    "en": "The indexed documents do not answer this question. Please try other words.",
}
Told = dict[Language, tuple[str, str]]  # what is wrong, and what to do
EMPTY: Told = {
    "ja": ("質問が空です。", "知りたいことを文や言葉で入力してください。"),
    "en": ("The question is empty.", "Please type what you would like to know."),
}
NO_WORDS: Told = {
    "ja": ("質問に言葉が含まれていません。", "絵文字や記号だけでなく、言葉で質問してください。"),
    "en": ("The question holds no words.", "Please ask in words, not in symbols alone."),
}


def not_found(language: Language, *, passages: bool) -> str:
    """The answer when the documents do not answer, with or without near passages to show."""
    return (_NOT_FOUND if passages else _NOTHING_NEAR)[language]


def older_version(language: Language) -> str:
    """What stands behind a source of which there is a newer version."""
    return "（旧版）" if language == "ja" else " (older version)"


def too_long(length: int, limit: int) -> Told:
    """Of a question that is too long."""
    return {
        "ja": (
            f"質問が長すぎます（{length:,} 文字。上限は {limit:,} 文字です）。",
            "質問の要点だけを送ってください。",
        ),
        "en": (
            f"The question is too long ({length:,} characters; the limit is {limit:,}).",
            "Please send its essence alone.",
        ),
    }


def bad_conversation_id(limit: int) -> Told:
    """Of a conversation id that no client of ours makes."""
    return {
        "ja": (
            f"conversation_id は {limit} 文字以内の英数字と -_.: で指定してください。",
            "前の回答に含まれる conversation_id をそのまま送ってください。",
        ),
        "en": (
            f"conversation_id is at most {limit} letters, digits and -_.: long.",
            "Please send the conversation_id of an earlier answer as it is.",
        ),
    }


def what_is(topic: str, language: Language) -> str:
    """A question to begin with, about a thing."""
    return f"What is {topic}?" if language == "en" else f"{topic}とは何ですか？"


def tell_about(topic: str, language: Language) -> str:
    """A question to begin with, about anything else."""
    return f"Tell me about {topic}" if language == "en" else f"{topic}について教えてください"
