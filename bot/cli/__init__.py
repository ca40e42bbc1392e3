"""The command `kiku`: parses, calls, prints. An expected failure is one sentence and exit status 1."""

from __future__ import annotations

import sys

import typer

from bot.cli import ask, build, doctor, documents, eval, feedback, keys, serve
from index.errors import KikuError

app = typer.Typer(
    help="日本語の文書に質問し、引用つきの答えを得る。", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
for command in (
    build.build,
    build.rollback,
    build.migrate,
    ask.ask,
    ask.search,
    ask.chat,
    serve.serve,
    serve.slack,
    feedback.forget,
    doctor.doctor,
):
    app.command()(command)
app.add_typer(documents.app, name="documents")
app.add_typer(eval.app, name="eval")
app.add_typer(feedback.app, name="feedback")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Runs the command line; the console script."""
    try:
        app()
    except KikuError as error:
        typer.echo(f"{error.message} {error.hint}".strip(), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
