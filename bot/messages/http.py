"""What people read when a request goes wrong."""

from __future__ import annotations

# code → (Japanese message, Japanese hint, English message, English hint)
HTTP_ERRORS: dict[str, tuple[str, str, str, str]] = {
    "bad_json": (
        "本文をJSONとして読めません。",
        "UTF-8のJSONを Content-Type: application/json で送ってください。",
        "The body is not JSON.",
        "Send UTF-8 JSON with Content-Type: application/json.",
    ),
    "bad_http": (
        "HTTPのリクエストとして読めません。",
        "アドレスに空白などがあれば、%20 のように書いてください。",
        "This is not an HTTP request.",
        "Write spaces and the like in the address as %20.",
    ),
    "bad_request": (
        "リクエストの {where} が正しくありません（{what}）。",
        "使える項目は /docs にあります。",
        "{where} of the request is not valid: {what}.",
        "See /docs for the fields.",
    ),
    "body_too_large": (
        "リクエストが大きすぎます。",
        "{limit}バイトまでにしてください。",
        "The request is too large.",
        "Keep it within {limit} bytes.",
    ),
    "too_slow": (
        "リクエストの本文が届きません。",
        "本文を途切れさせずに送ってください。",
        "The body of the request does not arrive.",
        "Send it without pauses.",
    ),
    "not_found": (
        "見つかりません。",
        "アドレスを確かめてください。使える経路は /docs にあります。",
        "Not found.",
        "Check the address; the routes are listed at /docs.",
    ),
    "document_not_found": (
        "この文書はありません。",
        "移されたか、索引から外れたのかもしれません。今ある文書は、画面の「文書」か GET /documents で分かります。",
        "There is no such document.",
        "It may have been moved or taken out of the index. “Documents” on the page or GET /documents "
        "lists those that are there.",
    ),
    "conversation_not_found": (
        "この会話はありません。",
        "conversation_id を付けずに質問すると、新しい会話が始まります。",
        "There is no such conversation.",
        "Ask without conversation_id to begin a new one.",
    ),
    "answer_not_found": (
        "この回答はありません。",
        "回答の id をそのまま answer_id に入れてください。",
        "There is no such answer.",
        "Send the id of an answer as answer_id.",
    ),
    "model_not_found": (
        "このモデルはありません。",
        "使えるモデルは GET /v1/models で得られます。",
        "There is no such model.",
        "GET /v1/models lists the models.",
    ),
    "no_user_message": (
        "messages に利用者の発言がありません。",
        'role が "user" のメッセージを最後に入れてください。',
        "There is no user message in messages.",
        'Put one with role "user" at the end.',
    ),
    "method_not_allowed": (
        "この経路ではこのメソッドは使えません。",
        "使えるメソッドは Allow ヘッダーにあります。",
        "This method is not allowed here.",
        "The Allow header lists those that are.",
    ),
    "key_missing": (
        "APIキーが必要です。",
        "Authorization: Bearer にAPIキーを付けてください。",
        "An API key is required.",
        "Send it as Authorization: Bearer.",
    ),
    "key_unknown": (
        "このAPIキーは使えません。",
        "管理者に `kiku keys create` で作ってもらってください。",
        "This API key is not valid.",
        "Ask an administrator for one made by `kiku keys create`.",
    ),
    "admins_only": (
        "ここは管理者だけが使えます。",
        "管理者のAPIキーを使ってください。キーを設けていなければ、このマシンから開いてください。",
        "This is for administrators only.",
        "Use an administrator's API key, or, where there are no keys, this machine itself.",
    ),
    "collection_forbidden": (
        "指定されたコレクションは見られません。",
        "collections を外すか、見られるものだけにしてください。",
        "You may not see the collections asked for.",
        "Leave collections out, or name only those that you may see.",
    ),
    "narrow_key": (
        "このAPIキーで見られるのは一部のコレクションだけなので、ここは使えません。",
        "すべてのコレクションを見られるAPIキーを使ってください。",
        "This API key sees some collections only, and this tells of all of them.",
        "Use an API key that sees every collection.",
    ),
    "host_unknown": (
        "このホスト名では使えません。",
        "KIKU_ALLOWED_HOSTS か KIKU_PUBLIC_URL に加えてください。",
        "The service does not go by this host name.",
        "Add it to KIKU_ALLOWED_HOSTS or KIKU_PUBLIC_URL.",
    ),
    "cross_site": (
        "ほかのサイトからの書き込みは受け付けません。",
        "許すサイトは KIKU_CORS_ORIGINS に加えてください。",
        "Requests from other sites that change something are refused.",
        "Add the site to KIKU_CORS_ORIGINS to allow it.",
    ),
    "rate_limited": (
        "リクエストが多すぎます。",
        "{seconds}秒待ってからもう一度お試しください。",
        "Too many requests.",
        "Try again in {seconds} seconds.",
    ),
    "overloaded": (
        "ただいま混み合っています。",
        "少し待ってからもう一度お試しください。",
        "The service is busy.",
        "Try again in a moment.",
    ),
    "starting": (
        "起動しています。",
        "数秒後にもう一度お試しください。",
        "The service is starting.",
        "Try again in a few seconds.",
    ),
    "rebuild_unavailable": (
        "ここからは索引を作り直せません。",
        "サーバーで `kiku build` を実行してください。",
        "The index cannot be rebuilt from here.",
        "Run `kiku build` on the server.",
    ),
    "internal_error": (
        "サーバー内部でエラーが起きました。",
        "続くようなら、X-Request-ID を添えて管理者に伝えてください。",
        "Something went wrong inside the service.",
        "If it goes on, tell an administrator, with the X-Request-ID.",
    ),
    "http_error": ("リクエストを処理できません。", "", "The request cannot be handled.", ""),
}
# code of what Kiku itself raises in Japanese → English message, English hint
ENGLISH_ERRORS: dict[str, tuple[str, str]] = {
    "index_missing": ("There is no index yet.", "Run `kiku build` on the server."),
    "index_damaged": ("The index is damaged.", "Run `kiku build` on the server."),
    "index_mismatch": (
        "The index was made with another encoder or another version of Kiku.",
        "Run `kiku build` on the server.",
    ),
    "index_unavailable": ("The index cannot be reached.", "Try again in a moment."),
    "encoder_unavailable": (
        "The encoder cannot be loaded.",
        "`kiku doctor` on the server says why.",
    ),
    "store_unavailable": (
        "The database of conversations cannot be used.",
        "`kiku doctor` on the server says why.",
    ),
    "build_running": ("The index is being built already.", "Try again when that has ended."),
}
# pydantic's name of a mistake in a field → what to call it in Japanese and in English
HTTP_MISTAKES: dict[str, tuple[str, str]] = {
    "missing": ("必要な項目がありません", "it is required"),
    "extra_forbidden": ("知らない項目です", "it is not known"),
    "string_type": ("文字列ではありません", "it must be a string"),
    "string_unicode": ("正しいUnicodeではありません", "it is not valid Unicode"),
    "string_too_short": ("空です", "it is empty"),
    "string_pattern_mismatch": ("空か、使えない文字があります", "it is blank or malformed"),
    "string_too_long": ("長すぎます", "it is too long"),
    "too_long": ("多すぎます", "it has too many items"),
    "int_type": ("整数ではありません", "it must be an integer"),
    "int_parsing": ("整数ではありません", "it must be an integer"),
    "int_parsing_size": ("大きすぎる数です", "the number is too large"),
    "greater_than_equal": ("小さすぎます", "it is too small"),
    "less_than_equal": ("大きすぎます", "it is too large"),
    "literal_error": ("使えない値です", "it is not one of the values allowed"),
    "list_type": ("配列ではありません", "it must be an array"),
}
