"""Load on a studio of this machine: photos per second and latency at 1, 4 and 16 clients, nothing lost.

    python benchmarks/studio_load.py [http://127.0.0.1:7860] [--requests 64]

Without an address the bundled model is served here, in a thread. Load goes to loopback addresses only.
"""

import argparse
import json
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import httpx

CLIENTS = (1, 4, 16)
LONGEST_SECONDS = 300.0  # of one measurement


@dataclass(frozen=True)
class Load:
    """What `clients` clients saw, each asking for its next photo as soon as it has one."""

    clients: int
    answered: int
    lost: int
    told_to_wait: int
    seconds: float
    p50_ms: float
    p95_ms: float

    @property
    def photos_per_second(self) -> float:
        return self.answered / self.seconds


def measure(address: str, *, clients: int, requests: int, model: dict | None = None) -> Load:
    """Ask `requests` times in all; latencies include the waits that the server asked for with 429."""
    if urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError(f"{address}: load is sent to this machine only")
    model = model or httpx.get(f"{address}/v1/models").json()["models"][0]
    height, width = model["height"], model["width"]
    data = {"width": width, "height": height}
    deadline = time.monotonic() + LONGEST_SECONDS

    def ask(number: int) -> tuple[float, int, bool]:
        # A layout of its own for every request, so that nothing is answered from a cache.
        layout = bytearray(width * height)
        layout[:] = bytes([number % model["classes"]]) * len(layout)
        layout[number % len(layout)] = (number + 1) % model["classes"]
        start, waits = time.perf_counter(), 0
        while time.monotonic() < deadline:
            files = {"labels": bytes(layout)}
            answer = client.post("/v1/generate", data=data, files=files)
            if answer.status_code != 429:
                return time.perf_counter() - start, waits, answer.status_code == 200
            waits += 1
            time.sleep(min(float(answer.headers["retry-after"]), 0.05 * waits))
        return time.perf_counter() - start, waits, False

    start = time.perf_counter()
    connections = httpx.Client(base_url=address, timeout=LONGEST_SECONDS)
    with connections as client, ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(ask, range(requests)))
    seconds = time.perf_counter() - start
    latencies = sorted(1000 * latency for latency, _, _ in results)
    return Load(
        clients=clients,
        answered=sum(good for _, _, good in results),
        lost=sum(not good for _, _, good in results),
        told_to_wait=sum(waits for _, waits, _ in results),
        seconds=seconds,
        p50_ms=statistics.median(latencies),
        p95_ms=latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))],
    )


def serve(model: str | None = None) -> str:
    """The address of a studio in a thread that ends with this program.

    model: a bundled model's name or a path; None: all bundled models.
    """
    import uvicorn

    from ccfpse.engine import Engine
    from ccfpse.model_files import bundled_models
    from ccfpse.server.app import create_app

    engines = [Engine.load(name) for name in ([model] if model else bundled_models())]
    server = uvicorn.Server(uvicorn.Config(create_app(engines), log_level="warning", ws="none"))
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", help="of a running studio; default: serve the bundled model")
    parser.add_argument("--requests", type=int, default=64, help="at each number of clients")
    arguments = parser.parse_args()
    address = arguments.address or serve()
    measure(address, clients=1, requests=3)  # warm up
    print(
        f"{'clients':>7} {'photos/s':>9} {'p50 ms':>8} {'p95 ms':>8} {'answered':>8} {'lost':>5} {'429':>5}"
    )
    loads = [measure(address, clients=clients, requests=arguments.requests) for clients in CLIENTS]
    for load in loads:
        print(
            f"{load.clients:7} {load.photos_per_second:9.1f} {load.p50_ms:8.0f} {load.p95_ms:8.0f} "
            f"{load.answered:8} {load.lost:5} {load.told_to_wait:5}"
        )
    print(json.dumps([asdict(load) for load in loads]))


if __name__ == "__main__":
    main()
