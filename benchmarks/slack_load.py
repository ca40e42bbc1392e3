"""How soon Slack questions are acknowledged and answered: `python benchmarks/slack_load.py`.

    python benchmarks/slack_load.py [--rate 5] [--count 300] [--home KIKU_HOME] [--faults]

Builds an index over corpus/documents in a temporary home (or takes the one given), starts `kiku
slack` on it as a user does, and sends it the questions of corpus/questions.jsonl as mentions in
twenty channels, at a steady rate, over the sockets of the fake Slack (tests/fake_slack.py), which
runs in this process. Prints one JSON object:

- `ack_ms`: from the event leaving Slack to its acknowledgement; each question is two events
- `answer_ms`: from the question being posted to the reply being there
- `processor_ms_per_answer`: what `kiku slack` itself worked on, however busy the machine
- `lost`, `doubled`: questions without a reply, and replies too many
- `excused`: replies that are a sentence of Kiku's own instead of an answer

With `--faults`, Slack fails meanwhile (500, 429, replies that are posted and not confirmed, cut
connections, lost sockets) and Kiku is killed (SIGKILL) and started again every 20 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.fake_slack import APP_TOKEN, BOT_TOKEN, FakeSlack, Fault, mention  # noqa: E402

KIKU = Path(sys.executable).with_name("kiku")
CHANNELS = [f"C{number:02}" for number in range(20)]
KILLED_EVERY = 20.0  # seconds
FAULTS = (
    Fault("500"),
    Fault("500", when="after"),
    Fault("drop", when="after"),
    Fault("drop"),
    Fault("429", seconds=1),
)


class Bot:
    """`kiku slack` as a process of its own, connected to the fake Slack."""

    def __init__(self, slack: FakeSlack, home: Path, place: Path) -> None:
        self._slack = slack
        self._place = place
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KIKU_")},
            "KIKU_HOME": str(home),
            "KIKU_DATABASE": f"sqlite:///{place / 'kiku.sqlite'}",
            "KIKU_SLACK_API_URL": slack.url,
            "KIKU_LOG_LEVEL": "error",
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
        }

    def start(self) -> None:
        command = [str(KIKU), "slack"]
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._place, stderr=log
            )
        self._slack.wait_for(lambda: self._slack.connections, 120)

    def stop(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait()

    def kill_and_start(self) -> None:
        self.stop(signal.SIGKILL)
        self._slack.wait_for(lambda: not self._slack.connections)
        self.start()

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs the benchmark; exit status 1 when a question was not answered exactly once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=5.0, help="questions a second")
    parser.add_argument("--count", type=int, default=300, help="questions in all")
    parser.add_argument("--home", type=Path, help="a built KIKU_HOME; otherwise one is built")
    parser.add_argument("--faults", action="store_true", help="Slack fails, and Kiku is killed")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or built(Path(folder) / "home")
        figures = measure(home.resolve(), Path(folder), arguments)
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", "utf-8")
    sys.exit(1 if figures["lost"] or figures["doubled"] or figures["excused"] else 0)


def built(home: Path) -> Path:
    environment = {**os.environ, "KIKU_HOME": str(home)}
    command = [str(KIKU), "build", str(ROOT / "corpus" / "documents")]
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=home.parent)
    return home


def measure(home: Path, place: Path, arguments: argparse.Namespace) -> dict[str, object]:
    rows = (ROOT / "corpus" / "questions.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(row)["question"] for row in rows]
    with FakeSlack() as slack:
        for channel in CHANNELS:
            slack.channel(channel)
        bot = Bot(slack, home, place)
        bot.start()
        try:
            warm_up(slack, questions)
            before = bot.processor_seconds()
            with troubled(slack, bot) if arguments.faults else _undisturbed():
                asked = ask(slack, questions, arguments.rate, arguments.count)
            settle(slack, set(asked), 120 + arguments.count)
            worked = bot.processor_seconds() - before
        finally:
            bot.stop()
        figures = summary(slack, asked, arguments.rate)
        if not arguments.faults:  # killed, it counts from the last start only
            figures["processor_ms_per_answer"] = round(worked / len(asked) * 1000, 1)
        return figures


def warm_up(slack: FakeSlack, questions: list[str]) -> None:
    asked = {slack.say(channel, mention(one)) for channel, one in zip(CHANNELS, questions)}  # noqa: B905
    settle(slack, asked, 120)
    slack.envelopes.clear()


def ask(slack: FakeSlack, questions: list[str], rate: float, count: int) -> dict[str, float]:
    """When each question was posted, by its timestamp."""
    asked = {}
    began = time.monotonic()
    for number, question in enumerate(islice(cycle(questions), count)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        now = time.monotonic()
        asked[slack.say(CHANNELS[number % len(CHANNELS)], mention(question))] = now
    return asked


def settle(slack: FakeSlack, asked: set[str], seconds: float) -> None:
    """Waits for a reply to each question, and a while longer for a second one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not (asked <= set(replied(slack)) and slack.idle):
        time.sleep(0.05)
    time.sleep(2.0)


def replied(slack: FakeSlack) -> Counter[str]:
    """How many replies each question has."""
    return Counter(one["thread_ts"] for channel in CHANNELS for one in slack.replies(channel))


@contextmanager
def troubled(slack: FakeSlack, bot: Bot) -> Iterator[None]:
    """Something goes wrong all the time, until the block ends."""
    over = threading.Event()

    def trouble() -> None:
        killed = time.monotonic()
        for number, one in enumerate(cycle(FAULTS), start=1):
            if over.wait(0.7):
                return
            slack.fail("chat.postMessage", Fault(one.kind, when=one.when, seconds=one.seconds))
            if number % 15 == 0:
                slack.disconnect(polite=number % 2 == 0)
            if time.monotonic() - killed > KILLED_EVERY:
                bot.kill_and_start()
                killed = time.monotonic()

    troublemaker = threading.Thread(target=trouble)
    troublemaker.start()
    try:
        yield
    finally:
        over.set()
        troublemaker.join()


@contextmanager
def _undisturbed() -> Iterator[None]:
    yield


def summary(slack: FakeSlack, asked: dict[str, float], rate: float) -> dict[str, object]:
    replies = [one for channel in CHANNELS for one in slack.replies(channel)]
    waited = [one["at"] - asked[one["thread_ts"]] for one in replies if one["thread_ts"] in asked]
    counts = replied(slack)
    return {
        "rate": rate,
        "questions": len(asked),
        "lost": sum(not counts[ts] for ts in asked),
        "doubled": sum(max(0, counts[ts] - 1) for ts in asked),
        "excused": sum("feedback_buttons" not in str(one["blocks"]) for one in replies),
        "ack_ms": percentiles(
            [one.acked_at - one.sent_at for one in slack.envelopes if one.acked_at]
        ),
        "answer_ms": percentiles(waited),
        "load_average": Path("/proc/loadavg").read_text().split()[0],
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=100)
    names = (("p50", 49), ("p95", 94), ("p99", 98))
    return {name: round(cuts[place] * 1000, 1) for name, place in names}


if __name__ == "__main__":
    main()
