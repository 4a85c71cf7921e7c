"""Requests a second of the server, from raw PNG files over loopback, and the time of each: by one connection and by 32.

python -m benchmarks.server [--package package] [--seconds 5]

The client shares the machine's cores with the server.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path

PORT = 8765
CONNECTIONS = (1, 32)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--package", type=Path, default=Path("package"), help="folder of a package of images")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts (default: 5)")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "pipeline", "serve", str(arguments.package), "--port", str(PORT)]
    started = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await until_ready()
        print(f"ready after {time.perf_counter() - started:.2f} s")
        body = next((arguments.package / "sample").glob("*.png")).read_bytes()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        for count in CONNECTIONS:
            times = sorted(await load(head.encode() + body, count, arguments.seconds))
            p50, p99 = (1e3 * times[int(share * len(times))] for share in (0.5, 0.99))
            print(
                f"{count} connections: {len(times) / arguments.seconds:,.0f} requests/s, median {p50:.2f} ms, "
                f"99th percentile {p99:.2f} ms"
            )
    finally:
        server.terminate()
        server.wait()


async def until_ready() -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


async def load(request: bytes, count: int, seconds: float) -> list[float]:
    """The seconds that each request took, by `count` connections that ask one after another."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while (sent := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            times.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(count)))
    return times


if __name__ == "__main__":
    asyncio.run(main())
