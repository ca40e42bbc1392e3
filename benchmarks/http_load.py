"""The service under load: answers a second, memory over thousands of requests, swaps of the index.

    python benchmarks/http_load.py BEIR_FOLDER [--clients 8] [--seconds 30] [--requests 10000]

Builds an index over the passages of a BEIR folder (corpus.jsonl.gz, queries.jsonl.gz) in a temporary
home, starts `kiku serve` on it and asks the folder's questions over kept-alive connections, from the
same machine. Prints one JSON object:

- `answers_per_second`, `p50_ms`, `p95_ms`: `POST /ask` alone, all clients asking without a pause;
  `processor_ms_per_answer` is what the service itself worked, on however busy a machine;
  `refused` counts the replies that were no answer (503 where the machine cannot keep up)
- `requests`, `failed`, `swaps`: mixed requests while the index is rebuilt and swapped
- `rss_drift`: resident memory after the last of them against that after the first thousand
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KIKU = Path(sys.executable).with_name("kiku")
SETTLED = 1000  # requests after which caches are warm and memory is compared


def main() -> None:
    """Runs the benchmark; exit status 1 when a request failed."""
    arguments = parse()
    rows = read(arguments.folder / "queries.jsonl.gz")
    questions = [row["text"] for row in rows]
    with tempfile.TemporaryDirectory() as place:
        documents, home = Path(place) / "documents", Path(place) / "home"
        passages = read(arguments.folder / "corpus.jsonl.gz")
        write_documents(passages[: arguments.passages], documents)
        build(home, documents)
        with serving(home) as (port, pid):
            result = sustained(port, pid, questions, arguments.clients, arguments.seconds)
            result |= mixed(port, pid, questions, arguments, home, documents)
    print(json.dumps(result, indent=2))
    sys.exit(1 if result["failed"] else 0)


def sustained(
    port: int, pid: int, questions: list[str], clients: int, seconds: float
) -> dict[str, Any]:
    """All clients ask without a pause; the times of single answers are their own."""
    times: list[float] = []
    refused: list[int] = []
    bodies = [{"question": question} for question in questions]
    ask(port, "/ask", bodies[0])
    until = time.monotonic() + seconds
    began, worked = time.monotonic(), processor_seconds(pid)

    def work(seed: int) -> None:
        pick = random.Random(seed)
        with connection(port) as client:
            while time.monotonic() < until:
                start = time.perf_counter()
                status, _ = send(client, "POST", "/ask", pick.choice(bodies))
                if status == 200:
                    times.append((time.perf_counter() - start) * 1000)
                else:
                    refused.append(status)

    run_all(work, clients)
    took = time.monotonic() - began
    worked = processor_seconds(pid) - worked
    times.sort()
    if not times:
        raise SystemExit(f"no answer came: {refused[:5]}")
    return {
        "clients": clients,
        "refused": len(refused),
        "answers_per_second": round(len(times) / took, 1),
        "p50_ms": round(times[len(times) // 2], 1),
        "p95_ms": round(times[int(len(times) * 0.95)], 1),
        "processor_ms_per_answer": round(worked / len(times) * 1000, 1),
    }


def mixed(
    port: int,
    pid: int,
    questions: list[str],
    arguments: argparse.Namespace,
    home: Path,
    documents: Path,
) -> dict[str, Any]:
    """Answers, searches and documents in turn, while the index is rebuilt now and then."""
    _, listed = ask(port, "/documents", None)
    names = [document["id"] for document in listed["documents"]]
    lock = threading.Lock()
    done = failed = 0
    memory: dict[int, int] = {}
    swapped = threading.Event()

    def work(seed: int) -> None:
        nonlocal done, failed
        pick = random.Random(seed)
        with connection(port) as client:
            while done < arguments.requests or not swapped.is_set():
                kind = pick.random()
                if kind < 0.6:
                    status, _ = send(client, "POST", "/ask", {"question": pick.choice(questions)})
                elif kind < 0.9:
                    status, _ = send(client, "POST", "/search", {"query": pick.choice(questions)})
                else:
                    status, _ = send(client, "GET", f"/documents/{pick.choice(names)}", None)
                with lock:
                    done += 1
                    failed += status != 200
                    if done in (SETTLED, arguments.requests):
                        memory[done] = resident(pid)

    def swap() -> None:
        try:
            for number in range(arguments.swaps):
                added = documents / f"added-{number}.md"
                added.write_text(f"# 追加{number}\n\n追加の文書です。\n")
                build(home, documents)
        finally:
            swapped.set()

    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(swap)
        run_all(work, arguments.clients)
        swapping.result()
    _, after = ask(port, "/documents", None)
    first, last = memory.get(SETTLED, 0), memory.get(arguments.requests, 0)
    return {
        "requests": done,
        "failed": failed,
        "swaps": arguments.swaps,
        "documents_added": after["total"] - listed["total"],
        "rss_mb_settled": round(first / 2**20),
        "rss_mb_end": round(last / 2**20),
        "rss_drift": round(last / first - 1, 4) if first else None,
    }


def run_all(work: Callable[[int], None], clients: int) -> None:
    """Runs `work` once for each client, and raises what any of them raised."""
    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(work, seed) for seed in range(clients)]:
            future.result()


@contextmanager
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    """A kept-alive connection; small packets are not held back."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    client.connect()
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield client
    finally:
        client.close()


def send(
    client: http.client.HTTPConnection, method: str, path: str, body: object
) -> tuple[int, bytes]:
    """One request and its whole reply."""
    data = None if body is None else json.dumps(body).encode()
    client.request(method, path, data, {"Content-Type": "application/json"})
    reply = client.getresponse()
    return reply.status, reply.read()


def ask(port: int, path: str, body: object) -> tuple[int, Any]:
    """One request on a connection of its own, its reply as JSON."""
    with connection(port) as client:
        status, text = send(client, "GET" if body is None else "POST", path, body)
        return status, json.loads(text)


@contextmanager
def serving(home: Path) -> Iterator[tuple[int, int]]:
    """The service on a free port, ready: its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [KIKU, "serve", "--port", str(port)],
        env=environment(home) | {"KIKU_LOG_LEVEL": "warning"},
    )
    try:
        while not is_ready(port):
            if process.poll() is not None:
                raise SystemExit("kiku serve ended")
            time.sleep(0.2)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def build(home: Path, documents: Path) -> None:
    """Builds the index over a folder."""
    command = [KIKU, "build", str(documents), "--json"]
    subprocess.run(command, env=environment(home), check=True, stdout=subprocess.DEVNULL)


def environment(home: Path) -> dict[str, str]:
    return dict(os.environ, KIKU_HOME=str(home))


def write_documents(passages: list[dict[str, Any]], folder: Path) -> None:
    """A Markdown file for each passage, its title as heading."""
    folder.mkdir()
    for passage in passages:
        head = f"# {passage['title']}\n\n" if passage.get("title") else ""
        (folder / f"{passage['_id']}.md").write_text(head + passage["text"] + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def resident(pid: int) -> int:
    """Resident memory of a process in bytes (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used, in all its threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a BEIR folder")
    parser.add_argument("--passages", type=int, help="index only so many of them")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--swaps", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
