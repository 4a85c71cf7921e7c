"""The server under more requests than it can answer: nothing may break, grow or stay slow.

    python -m benchmarks.serving.overload [--package package] [--minutes 10] [--times 2]

Requests of 32 images each come at a fixed rate, whether or not earlier ones have been answered: twice as many as the
server answers when it is asked as fast as it can. Before and after, single images by one connection.
"""

import argparse
import asyncio
import base64
import json
import subprocess
import time
from pathlib import Path

from benchmarks.serving.load import Answers, Connection, load, post, until_answered
from benchmarks.serving.server import PORT, own, resident, running

IMAGES, CONNECTIONS = 32, 32  # of a request; that find the capacity
SECONDS = 10  # that each measurement of a rate lasts
EVERY = 30  # seconds between two looks at the memory


async def flood(request: bytes, rate: float, seconds: float, process: subprocess.Popen[bytes]) -> Answers:
    """Requests at a rate, each by a connection that is free, or a new one. Prints the memory as it goes."""
    answers, free, tasks = Answers(seconds), list[Connection](), set[asyncio.Task[None]]()
    started = looked = time.perf_counter()

    async def ask() -> None:
        sent = time.perf_counter()
        while free:
            connection = free.pop()
            try:
                status, _ = await connection.ask(request)
                break
            except (asyncio.IncompleteReadError, ConnectionError):  # closed by the server, since it was long idle
                continue
        else:
            connection = await Connection.open(PORT)
            status, _ = await connection.ask(request)
        answers.statuses[status] += 1
        if status == 200:
            answers.times.append(time.perf_counter() - sent)
        free.append(connection)

    sent = 0
    while (now := time.perf_counter()) < started + seconds:
        while sent < (now - started) * rate:
            tasks.add(task := asyncio.create_task(ask()))
            task.add_done_callback(tasks.discard)
            sent += 1
        if now - looked >= EVERY:
            looked = now
            print(f"  {now - started:4.0f} s: {resident(process):.0f} MB, {dict(answers.statuses)}", flush=True)
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.overload", description=__doc__)
    parser.add_argument("--package", type=Path, default=Path("package"), help="folder of a package of images")
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--times", type=float, default=2, help="of the capacity (default: 2)")
    arguments = parser.parse_args()
    png = next((arguments.package / "sample").glob("*.png")).read_bytes()
    body = json.dumps({"inputs": [base64.b64encode(png).decode()] * IMAGES}).encode()
    one, many = post("/predict", "image/png", png), post("/predict", "application/json", body)
    server = own(arguments.package.resolve(), png)
    with running(server) as process:
        asyncio.run(until_answered(PORT, server.last_to_warm or one))
        capacity = asyncio.run(load(PORT, many, CONNECTIONS, SECONDS)).rate
        before = asyncio.run(load(PORT, one, 1, SECONDS))
        memory = resident(process)
        print(f"capacity {capacity:,.0f} requests/s of {IMAGES} images; {memory:.0f} MB; one image: {before}")
        flooded = asyncio.run(flood(many, arguments.times * capacity, 60 * arguments.minutes, process))
        grown = resident(process)
        after = asyncio.run(load(PORT, one, 1, SECONDS))
        assert process.poll() is None, "the server ended"
    other = sum(count for status, count in flooded.statuses.items() if status not in (200, 503))
    print(
        f"{sum(flooded.statuses.values()):,} requests: {flooded.statuses[200]:,} answered, {flooded.statuses[503]:,} "
        f"refused with 503, {other:,} else; answered {flooded}"
    )
    print(f"{memory:.0f} to {grown:.0f} MB ({grown / memory - 1:+.1%}); one image afterwards: {after}")


if __name__ == "__main__":
    main()
