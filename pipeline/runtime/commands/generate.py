"""What `predict` does with a packaged language model: it continues a prompt, or scores texts."""

import argparse
import csv
import json
import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..encoders.valid_text import valid_text
from ..errors import UserError
from ..generator import Generator, Sampling, until
from .text_inputs import Text

if TYPE_CHECKING:
    from ..explanations.texts import Explanation

NO_LABELS = "the package contains a language model, which has no labels: leave it out"
COLUMNS = ("input", "tokens", "nats", "nats_per_token", "bits_per_byte")


def main(arguments: argparse.Namespace, texts: Iterable[Text]) -> int:
    """The exit code: 1 if a text could not be read, else 0. Raises UserError for an invalid option."""
    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p)
    check(arguments, sampling)
    generator = Generator(arguments.package)
    if arguments.prompt is not None:
        continue_prompt(generator, arguments, sampling)
        return 0
    return score(generator, arguments, texts)


def check(arguments: argparse.Namespace, sampling: Sampling) -> None:
    has_prompt = arguments.prompt is not None
    for valid, option, rule in (
        (0 <= sampling.temperature < math.inf, "--temperature", "must be 0 or more, and finite"),
        (sampling.top_k is None or sampling.top_k >= 1, "--top-k", "must be 1 or more"),
        (sampling.top_p is None or 0 < sampling.top_p <= 1, "--top-p", "must be more than 0 and at most 1"),
        (arguments.tokens >= 1, "--tokens", "must be 1 or more"),
        (arguments.seed >= 0, "--seed", "must be 0 or more"),
        (arguments.prompt != "", "--prompt", "is empty: give at least one character"),
        (arguments.stop != "", "--stop", "is empty: give a text, or leave it out"),
        (not has_prompt or not (arguments.inputs or arguments.file), "--prompt", "stands alone: leave the inputs out"),
        (not has_prompt or not arguments.csv, "--csv", "is for scoring texts: leave it out with --prompt"),
        (arguments.top is None, "--top", NO_LABELS),
        (not arguments.spans, "--spans", NO_LABELS),
        (not arguments.conll, "--conll", NO_LABELS),
        (arguments.of is None, "--of", NO_LABELS),
        (arguments.method is None, "--method", "is for images: leave it out"),
        (arguments.explain is None or has_prompt, "--explain", "explains what follows a --prompt: give one"),
        (not arguments.keep_columns, "--keep-columns", "is for answers with labels or numbers: leave it out"),
    ):
        if not valid:
            raise UserError(f"{option}: {rule}")


def continue_prompt(generator: Generator, arguments: argparse.Namespace, sampling: Sampling) -> None:
    """Prints the prompt and what follows, token by token."""
    prompt = generator.tokenizer.encode(valid_text(arguments.prompt, "--prompt"))
    if generator.bounded and len(prompt) >= generator.context:
        seen = f"the model sees the last {generator.context - 1}"
        print(f"note: the prompt has {len(prompt):,} tokens, of which {seen}", file=sys.stderr)
    tokens = generator.generate(prompt, arguments.tokens, sampling, seed=arguments.seed)
    parts = until(generator.tokenizer.decode(tokens), [arguments.stop] if arguments.stop else [])
    explanation = explain(generator, arguments) if arguments.explain is not None else None
    if arguments.json:
        explained = {} if explanation is None else {"explanations": explanation.facts}
        print(json.dumps({"prompt": arguments.prompt, "text": "".join(parts), **explained}, ensure_ascii=False))
        return
    print(arguments.prompt, end="", flush=True)
    for part in parts:
        print(part, end="", flush=True)
    print()
    if explanation is not None:
        explanation.show()


def explain(generator: Generator, arguments: argparse.Namespace) -> "Explanation":
    """Which words of the prompt made the likeliest next token: also on a page in the folder."""
    from ..explanations import explainer, texts
    from ..explanations.next_token import NextToken

    explainer.prepare(arguments)
    page = texts.load(NextToken(generator), arguments.explain)
    return page.explain(Text("--prompt", arguments.prompt), (), np.zeros(0))


def score(generator: Generator, arguments: argparse.Namespace, texts: Iterable[Text]) -> int:
    """Prints the loss of each text as the beginning of a document, and the loss per token and per byte."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    has_title, failed = arguments.json, 0
    for name, text, _ in texts:
        try:
            if not isinstance(text, str):
                raise text if isinstance(text, UserError) else UserError(f"{name}: is no text")
            if not text.strip():
                raise UserError(f"{name}: has no text")
            tokens = generator.tokenizer.encode(valid_text(text, name))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        losses = generator.token_losses(tokens)
        nats = float(losses.sum())
        rates = nats / max(len(tokens), 1), nats / math.log(2) / max(len(text.encode()), 1)
        if not has_title:
            table.writerow(COLUMNS) if arguments.csv else print("log-probability  tokens  nats/token  bits/byte  input")
            has_title = True
        if arguments.json:
            answer = dict(zip(COLUMNS, (name, len(tokens), nats, *rates)))
            pieces = list(generator.tokenizer.decode(tokens.tolist()))
            answer |= {"pieces": pieces, "losses": [round(float(loss), 6) for loss in losses]}
            print(json.dumps(answer, ensure_ascii=False))
        elif arguments.csv:
            table.writerow((name, len(tokens), *(f"{x:.6f}" for x in (nats, *rates))))
        else:
            print(f"{-nats:15.4f}  {len(tokens):6}  {rates[0]:10.4f}  {rates[1]:9.4f}  {name}")
    return 1 if failed else 0
