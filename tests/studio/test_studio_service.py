"""The server on a real socket: the queue, clients that leave, health under load, draining, slow bodies."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pngs
import pytest
from fake_engine import FakeEngine
from serving import served

from ccfpse.server.limits import Limits

FILES = {"labels": pngs.grey(np.zeros((32, 32), int))}


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def pending(address):
    return httpx.get(f"{address}/healthz").json()["pending"]


def multipart(content: bytes) -> tuple[bytes, bytes]:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="labels"; filename="a.png"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    head = (
        "POST /v1/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


def connect(address):
    return socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), timeout=10)


def test_a_full_queue_answers_429_while_health_stays_fast():
    engine = FakeEngine()
    engine.release.clear()
    with served(engine, limits=Limits(waiting=2)) as address, ThreadPoolExecutor(4) as pool:
        waiting = [
            pool.submit(httpx.post, f"{address}/v1/generate", files=FILES, timeout=20) for _ in range(2)
        ]
        wait_until(lambda: pending(address) == 2)
        refused = httpx.post(f"{address}/v1/generate", files=FILES)
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        start = time.perf_counter()
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert time.perf_counter() - start < 1
        engine.release.set()
        assert [answer.result().status_code for answer in waiting] == [200, 200]
        wait_until(lambda: pending(address) == 0)
        assert httpx.post(f"{address}/v1/generate", files=FILES).status_code == 200
        assert "ccfpse_rejected_requests_total 1" in httpx.get(f"{address}/metrics").text


def test_a_request_whose_client_left_is_not_computed():
    engine = FakeEngine()
    engine.release.clear()
    with served(engine) as address, ThreadPoolExecutor(1) as pool:
        first = pool.submit(httpx.post, f"{address}/v1/generate", files=FILES, timeout=20)
        wait_until(lambda: engine.calls == 1)
        leaving = connect(address)
        leaving.sendall(b"".join(multipart(FILES["labels"])))
        wait_until(lambda: pending(address) == 2)
        leaving.close()
        wait_until(lambda: pending(address) == 1)
        engine.release.set()
        assert first.result().status_code == 200
        assert httpx.post(f"{address}/v1/generate", files=FILES).status_code == 200
        assert engine.calls == 2
        assert "ccfpse_dropped_requests_total 1" in httpx.get(f"{address}/metrics").text


def test_two_reference_photos_at_most_are_decoded_at_once(monkeypatch):
    lock, now, most = threading.Lock(), 0, 0

    def slow(content, max_pixels):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("ccfpse.server.decoding.read_photo", slow)
    with served(FakeEngine()) as address, ThreadPoolExecutor(8) as pool:
        url, files = f"{address}/v1/models/fake/encode-style", {"reference": b"made up"}
        answers = [pool.submit(httpx.post, url, files=files, timeout=20) for _ in range(8)]
        assert [answer.result().status_code for answer in answers] == [200] * 8
    assert most == 2


def test_a_body_that_stalls_ends_with_408():
    with served(FakeEngine(), limits=Limits(body_seconds=0.2)) as address, connect(address) as slow:
        head, body = multipart(FILES["labels"])
        slow.sendall(head + body[:20])
        answer = b""
        while b"}" not in answer:
            piece = slow.recv(65536)
            assert piece, answer
            answer += piece
        assert b" 408 " in answer.split(b"\r\n")[0]
        assert b'"code":"too_slow"' in answer


def test_garbage_on_the_wire_does_no_harm():
    with served(FakeEngine()) as address:
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01",
            b"GET /%ff%00 HTTP/1.1\r\nHost: \xff\r\n\r\n",
            b"\r\n" * 100,
        ):
            with connect(address) as client:
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)
                assert b" 500 " not in client.recv(65536)
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_sigterm_drains_and_ends_with_success():
    script = Path(__file__).with_name("studio_process.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+:\d+", process.stdout.readline()).group()
            wait_until(lambda: _answers(address))
            answers = []

            def ask():
                answers.append(httpx.post(f"{address}/v1/generate", files=FILES, timeout=20))

            thread = threading.Thread(target=ask)
            thread.start()
            wait_until(lambda: pending(address) == 1)
            process.send_signal(signal.SIGTERM)
            thread.join(timeout=20)
            assert answers[0].status_code == 200
            assert process.stdout.readline() == "ended\n"
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")


def _answers(address):
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_load_loses_nothing():
    from studio_load import measure

    with served(FakeEngine(seconds=0.01), limits=Limits(waiting=1)) as address:
        for clients in (1, 8):
            result = measure(address, clients=clients, requests=40)
            assert result.answered == 40
            assert result.lost == 0
            assert 0 < result.p50_ms <= result.p95_ms
        # Eight clients are more than the queue takes: some were told to come back, and did.
        assert result.told_to_wait > 0
