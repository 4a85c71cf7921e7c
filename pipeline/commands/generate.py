"""What `predict` does with a packaged language model: it writes on from a prompt, or says how likely texts are."""

import argparse
import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator

from pipeline.runtime.encoders.text_tokenizer import readable
from pipeline.runtime.errors import UserError
from pipeline.runtime.generator import Generator, Sampling

TITLES = ("input", "tokens", "nats", "nats_per_token", "bits_per_byte")


def answer(arguments: argparse.Namespace, texts: Iterable[tuple[str, str | UserError]]) -> int:
    """The exit code: 1 where a text could not be read. Raises UserError for an option that makes no sense."""
    how = Sampling(arguments.temperature, arguments.top_k, arguments.top_p)
    check(arguments, how)
    model = Generator(arguments.package)
    if arguments.prompt is not None:
        write_on(model, arguments, how)
        return 0
    return rate(model, arguments, texts)


def check(arguments: argparse.Namespace, how: Sampling) -> None:
    prompted = arguments.prompt is not None
    for right, option, rule in (
        (0 <= how.temperature < math.inf, "--temperature", "must be 0 or more"),
        (how.top_k is None or how.top_k >= 1, "--top-k", "must be 1 or more"),
        (how.top_p is None or 0 < how.top_p <= 1, "--top-p", "must be more than 0 and at most 1"),
        (arguments.tokens >= 1, "--tokens", "must be 1 or more"),
        (arguments.seed >= 0, "--seed", "must be 0 or more"),
        (arguments.prompt != "", "--prompt", "is empty: give at least one letter to go on from"),
        (arguments.stop != "", "--stop", "is empty: give a text, or leave it out"),
        (not prompted or not (arguments.inputs or arguments.file), "--prompt", "stands alone: leave the inputs out"),
        (not prompted or not arguments.csv, "--csv", "is for rating texts: leave it out with --prompt"),
    ):
        if not right:
            raise UserError(f"{option}: {rule}")


def write_on(model: Generator, arguments: argparse.Namespace, how: Sampling) -> None:
    """The prompt and what follows, letter by letter as it is written."""
    prompt = model.alphabet.numbers(readable(arguments.prompt, "--prompt"))
    if model.bounded and len(prompt) >= model.context:
        seen = f"the model sees the last {model.context - 1}"
        print(f"note: the prompt has {len(prompt):,} tokens, of which {seen}", file=sys.stderr)
    tokens = model.write(prompt, arguments.tokens, how, seed=arguments.seed)
    written = until(model.alphabet.letters(tokens), arguments.stop)
    if arguments.json:
        print(json.dumps({"prompt": arguments.prompt, "text": "".join(written)}))
        return
    print(arguments.prompt, end="", flush=True)
    for letters in written:
        print(letters, end="", flush=True)
    print()


def until(parts: Iterable[str], stop: str | None) -> Iterator[str]:
    """The parts up to and without `stop`; what could be its beginning is held back."""
    held = ""
    for part in parts:
        held += part
        if stop is None:
            yield held
            held = ""
        elif stop in held:
            yield held.partition(stop)[0]
            return
        else:
            safe = len(held) - next(n for n in range(min(len(stop) - 1, len(held)), -1, -1) if held.endswith(stop[:n]))
            yield held[:safe]
            held = held[safe:]
    yield held


def rate(model: Generator, arguments: argparse.Namespace, texts: Iterable[tuple[str, str | UserError]]) -> int:
    """A row a text: the logarithm of its probability as a document's beginning, and that by token and byte."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    titled, failed = arguments.json, 0
    for name, text in texts:
        try:
            if isinstance(text, UserError):
                raise text
            tokens = model.alphabet.numbers(readable(text, name))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        losses = model.surprise(tokens)
        nats = float(losses.sum())
        each = nats / max(len(tokens), 1), nats / math.log(2) / max(len(text.encode()), 1)
        if not titled:
            table.writerow(TITLES) if arguments.csv else print("log-probability  tokens  nats/token  bits/byte  input")
            titled = True
        if arguments.json:
            facts = dict(zip(TITLES, (name, len(tokens), nats, *each)))
            pieces = list(model.alphabet.letters(tokens.tolist()))
            print(json.dumps(facts | {"pieces": pieces, "losses": [round(float(loss), 6) for loss in losses]}))
        elif arguments.csv:
            table.writerow((name, len(tokens), *(f"{x:.6f}" for x in (nats, *each))))
        else:
            print(f"{-nats:15.4f}  {len(tokens):6}  {each[0]:10.4f}  {each[1]:9.4f}  {name}")
    return 1 if failed else 0
