"""How soon Slack questions are acknowledged and answered: `python benchmarks/slack_load.py`.

Sends questions at a steady rate from twenty channels of the fake Slack (tests/fake_slack.py, Socket
Mode and Web API over local sockets) to Kiku over a small index, and prints the latencies as JSON:
`ack` from the event leaving Slack to its acknowledgement, `answer` from the question being posted
to the reply being there. The fake server runs in the same process, so its work is counted too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.logs import configure_logs  # noqa: E402
from bot.store import Store  # noqa: E402
from bot.wiring import Kiku  # noqa: E402
from tests.fake_slack import FakeSlack, mention  # noqa: E402
from tests.slack_bot import Connection, build_slack_home, slack_settings  # noqa: E402

QUESTIONS = (
    "無線LANの利用申請の締め切りはいつですか？",
    "固定IPアドレスの割り当ては誰が担当しますか？",
    "chrootとは何ですか？",
    "dockershimはいつ削除されましたか？",
    "社員食堂の木曜日のカレーはいくらですか？",
)
CHANNELS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="questions a second")
    parser.add_argument("--count", type=int, default=300, help="questions in all")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    arguments = parser.parse_args()
    configure_logs("error")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.rate, arguments.count)
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", "utf-8")


def measure(place: Path, rate: float, count: int) -> dict[str, object]:
    home = build_slack_home(place)
    with FakeSlack() as slack:
        settings = slack_settings(slack, home, place)
        kiku = Kiku(settings, None, Store.open(settings.database_url))
        with Connection(kiku) as connection:
            for number in range(CHANNELS):
                slack.channel(f"C{number:02}")
            warm_up(slack, connection)
            posted = ask(slack, rate, count)
            connection.settle(slack, 60 + count)
            return summary(slack, posted, rate)


def warm_up(slack: FakeSlack, connection: Connection) -> None:
    for number, question in enumerate(QUESTIONS):
        slack.say(f"C{number:02}", mention(question))
    connection.settle(slack, 120)
    slack.envelopes.clear()


def ask(slack: FakeSlack, rate: float, count: int) -> dict[str, float]:
    """When each question was posted, by its timestamp."""
    posted = {}
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        now = time.monotonic()
        ts = slack.say(f"C{number % CHANNELS:02}", mention(QUESTIONS[number % len(QUESTIONS)]))
        posted[ts] = now
    return posted


def summary(slack: FakeSlack, posted: dict[str, float], rate: float) -> dict[str, object]:
    replies = [one for channel in slack.channels for one in slack.replies(channel)]
    answers = [
        one["at"] - posted[one["thread_ts"]] for one in replies if one["thread_ts"] in posted
    ]
    acks = [one.acked_at - one.sent_at for one in slack.envelopes if one.acked_at]
    return {
        "rate": rate,
        "questions": len(posted),
        "lost": len(posted) - len({one["thread_ts"] for one in replies} & set(posted)),
        "doubled": len(answers) - len(posted) if len(answers) > len(posted) else 0,
        "ack_ms": percentiles(acks),
        "answer_ms": percentiles(answers),
        "load_average": Path("/proc/loadavg").read_text().split()[0],
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=100)
    return {
        name: round(cuts[place] * 1000, 1)
        for name, place in (("p50", 49), ("p95", 94), ("p99", 98))
    }


if __name__ == "__main__":
    main()
