"""Tokens a second that the server writes: 16 texts at once, against one by one.

    python -m benchmarks.serving.streams PACKAGE [--tokens 200] [--rounds 5]

PACKAGE holds a language model. Each round asks for the same texts both ways, by their seeds, and checks that they are
the same.
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

from benchmarks.serving.load import Connection, post, until_answered
from benchmarks.serving.server import PORT, own, running

TEXTS = 16


async def write(asked: list[bytes], *, at_once: bool) -> tuple[float, list[dict[str, object]]]:
    """The seconds that the texts took, and the answers."""
    connections = [await Connection.open(PORT) for _ in asked]
    started = time.perf_counter()
    if at_once:
        answers = await asyncio.gather(*(one.ask(request) for one, request in zip(connections, asked)))
    else:
        answers = [await one.ask(request) for one, request in zip(connections, asked)]
    seconds = time.perf_counter() - started
    for one in connections:
        one.close()
    assert all(status == 200 for status, _ in answers), answers
    return seconds, [json.loads(body) for _, body in answers]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.streams", description=__doc__)
    parser.add_argument("package", type=Path, help="folder of a package of a language model")
    parser.add_argument("--tokens", type=int, default=200, help="of a text (default: 200)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    arguments = parser.parse_args()

    def ask(seed: int) -> bytes:
        asked = {"prompt": "The", "max_tokens": arguments.tokens, "seed": seed}
        return post("/generate", "application/json", json.dumps(asked).encode())

    asked, ratios = [ask(seed) for seed in range(TEXTS)], []
    with running(own(arguments.package.resolve(), b"")):
        asyncio.run(until_answered(PORT, asked[0]))
        for _ in range(arguments.rounds):
            single, texts = asyncio.run(write(asked, at_once=False))
            together, same = asyncio.run(write(asked, at_once=True))
            assert texts == same, "a text hangs on what is written beside it"
            tokens = sum(int(str(text["tokens"])) for text in texts)
            ratios.append(single / together)
            print(f"{tokens:,} tokens: one by one {tokens / single:,.0f} a second, at once {tokens / together:,.0f}")
    print(f"{statistics.median(ratios):.1f} times as fast at once ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
