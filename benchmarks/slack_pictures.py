"""Draws the pictures of docs/slack.md: `python benchmarks/slack_pictures.py`.

Asks a real Kiku in the fake Slack, and renders the blocks that it posted as Slack draws them, in
Chromium. The texts are those that users get; only the frame around them is drawn here.
"""

from __future__ import annotations

import html
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.logs import configure_logs  # noqa: E402
from bot.store import Store  # noqa: E402
from bot.wiring import Kiku  # noqa: E402
from tests.fake_slack import FakeSlack, mention  # noqa: E402
from tests.slack_bot import Connection, build_slack_home, slack_settings  # noqa: E402

IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

STYLE = """
body { margin: 0; padding: 20px 24px; width: 640px; background: #fff; color: #1d1c1d;
  font: 15px/1.55 "Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", sans-serif; }
.message { display: flex; gap: 10px; margin-bottom: 14px; }
.face { flex: none; width: 36px; height: 36px; border-radius: 8px; color: #fff; font-weight: 700;
  display: flex; align-items: center; justify-content: center; background: #6b7a86; }
.face.kiku { background: #1f4e5f; }
.name { font-weight: 700; } .app { background: #e8e8e8; color: #616061; font-size: 10px;
  padding: 1px 4px; border-radius: 3px; margin-left: 5px; vertical-align: 2px; }
.only { color: #616061; font-size: 12px; } .time { color: #616061; font-size: 12px; margin-left: 6px; }
.body > * { margin: 0 0 6px; } p { margin: 0; white-space: pre-wrap; }
blockquote { margin: 2px 0 6px; padding: 0 0 0 12px; border-left: 4px solid #ddd; white-space: pre-wrap; }
a { color: #1264a3; text-decoration: none; } ul { margin: 2px 0 6px; padding-left: 22px; }
.context { color: #616061; font-size: 13px; } .mention { background: #e8f5fa; color: #1264a3; }
.feedback span, button { display: inline-block; border: 1px solid #bbb; border-radius: 6px;
  background: #fff; font: inherit; font-size: 13px; padding: 3px 10px; margin-right: 8px; }
h1 { font-size: 19px; margin: 0 0 8px; } hr { border: 0; border-top: 1px solid #e3e3e3; width: 100%; }
.status { color: #616061; font-size: 13px; } .modal { border: 1px solid #ccc; border-radius: 10px;
  padding: 18px 20px; } .label { font-weight: 700; margin: 10px 0 4px; } .hint { color: #616061; font-size: 13px; }
.field { border: 1px solid #999; border-radius: 5px; padding: 6px 10px; color: #616061; }
.choice { background: #e8f5fa; border-radius: 4px; padding: 1px 8px; margin-right: 6px; color: #1d1c1d; }
.end { text-align: right; margin-top: 14px; } .primary { background: #007a5a; color: #fff; border-color: #007a5a; }
"""


def main() -> None:
    configure_logs("error")
    with tempfile.TemporaryDirectory() as folder:
        pictures = posted(Path(folder))
    IMAGES.mkdir(parents=True, exist_ok=True)
    shoot(pictures)


def posted(place: Path) -> dict[str, str]:
    """Name → HTML of each picture, from what Kiku really said."""
    home = build_slack_home(place, hostile=False)
    with FakeSlack() as slack:
        open_here = {"C1": ["open"]}
        settings = slack_settings(
            slack, home, place, private_collections=["personnel"], channel_collections=open_here
        )
        kiku = Kiku(settings, None, Store.open(settings.database_url))
        with Connection(kiku) as connection:
            return {
                "slack-answer": _thread(slack, "無線LANの利用申請の締め切りはいつですか？"),
                "slack-not-found": _thread(slack, "社員食堂の木曜日のカレーはいくらですか？"),
                "slack-command": _command(slack, "固定IPアドレスの割り当ては誰が担当しますか？"),
                "slack-assistant": _assistant(slack),
                "slack-home": _home(slack, connection),
                "slack-settings": _settings(slack),
            }


def _thread(slack: FakeSlack, question: str) -> str:
    ts = slack.say("C1", mention(question))
    asked = f'<p><span class="mention">@Kiku</span> {html.escape(question)}</p>'
    return person(asked) + kiku_says(blocks(slack.reply("C1", ts)["blocks"]))


def _command(slack: FakeSlack, question: str) -> str:
    slack.command(question)
    reply = slack.wait_for(lambda: slack.responses)[-1]
    return kiku_says(
        '<div class="only">あなただけに表示されています</div>' + blocks(reply["blocks"])
    )


def _assistant(slack: FakeSlack) -> str:
    ts = slack.open_assistant()
    greeting = blocks(slack.reply("D1", ts)["blocks"])
    shown = slack.wait_for(lambda: slack.prompts)[-1]
    prompts = "".join(
        f"<p><button>{html.escape(one['title'])}</button></p>" for one in shown["prompts"]
    )
    return kiku_says(f'{greeting}<p class="status">{html.escape(shown["title"])}</p>{prompts}')


def _home(slack: FakeSlack, connection: Connection) -> str:
    connection.settle(slack)
    slack.open_home()
    view: dict[str, Any] = slack.wait_for(lambda: slack.homes.get("U1"))
    return blocks(view["blocks"])


def _settings(slack: FakeSlack) -> str:
    slack.command("設定", user="U0ADMIN")
    view = slack.wait_for(lambda: slack.opened)[-1]
    end = f'<div class="end"><button>{view["close"]["text"]}</button>'
    end += f'<button class="primary">{view["submit"]["text"]}</button></div>'
    return f'<div class="modal"><h1>{view["title"]["text"]}</h1>{blocks(view["blocks"])}{end}</div>'


def person(inner: str) -> str:
    return _message('<div class="face">佐</div>', '<span class="name">佐藤</span>', inner)


def kiku_says(inner: str) -> str:
    name = '<span class="name">Kiku</span><span class="app">アプリ</span>'
    return _message('<div class="face kiku">聞</div>', name, inner)


def _message(face: str, name: str, inner: str) -> str:
    head = f'<div>{name}<span class="time">10:24</span></div>'
    return f'<div class="message">{face}<div class="body">{head}{inner}</div></div>'


def blocks(some: list[dict[str, Any]]) -> str:
    return "".join(f"<div>{_block(block)}</div>" for block in some)


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "rich_text":
            return "".join(_rich(element) for element in block["elements"])
        case "context":
            texts = [html.escape(one["text"]) for one in block["elements"]]
            return f'<div class="context">{" ".join(texts)}</div>'
        case "context_actions":
            one = block["elements"][0]
            up, down = (
                one["positive_button"]["text"]["text"],
                one["negative_button"]["text"]["text"],
            )
            return f'<div class="feedback"><span>{up}</span><span>{down}</span></div>'
        case "actions":
            return "".join(f"<button>{one['text']['text']}</button>" for one in block["elements"])
        case "header":
            return f"<h1>{html.escape(block['text']['text'])}</h1>"
        case "divider":
            return "<hr>"
        case "input":
            return _input(block)
    raise ValueError(block["type"])


def _input(block: dict[str, Any]) -> str:
    element = block["element"]
    label = f'<div class="label">{block["label"]["text"]}</div>'
    choices = [one["text"]["text"] for one in element.get("options", [])]
    if element["type"] == "checkboxes":
        return label + "".join(f"☐ {choice}" for choice in choices)
    chosen = [one["text"]["text"] for one in element.get("initial_options", [])]
    field = "".join(f'<span class="choice">{choice}</span>' for choice in chosen)
    field = field or "オプションを選択する"  # Slack's own words
    hint = block.get("hint", {}).get("text", "")
    return f'{label}<div class="field">{field}</div><div class="hint">{hint}</div>'


def _rich(element: dict[str, Any]) -> str:
    if element["type"] == "rich_text_list":
        return "<ul>" + "".join(f"<li>{_parts(one)}</li>" for one in element["elements"]) + "</ul>"
    tag = "blockquote" if element["type"] == "rich_text_quote" else "p"
    return f"<{tag}>{_parts(element)}</{tag}>"


def _parts(element: dict[str, Any]) -> str:
    found = []
    for part in element["elements"]:
        text = html.escape(part["text"])
        if part["type"] == "link":
            text = f'<a href="#">{text}</a>'
        found.append(f"<b>{text}</b>" if part.get("style", {}).get("bold") else text)
    return "".join(found)


def shoot(pictures: dict[str, str]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 688, "height": 200}, device_scale_factor=1.25)
        for name, inner in pictures.items():
            page.set_content(f"<html lang=ja><style>{STYLE}</style><body>{inner}</body></html>")
            page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
            print(name, (IMAGES / f"{name}.png").stat().st_size)
        browser.close()


if __name__ == "__main__":
    main()
