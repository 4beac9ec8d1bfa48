"""Who may talk to the server, and how much: headers, hosts, origins, token, body limits, addresses."""

import re
import subprocess
import sys

import numpy as np
import pngs
import pytest
from fake_engine import FakeEngine
from fastapi.testclient import TestClient

from ccfpse import cli
from ccfpse.server import launch
from ccfpse.server.assets import load_assets
from ccfpse.server.guards import Headed
from ccfpse.server.launch import check_binding, is_loopback
from ccfpse.server.limits import Limits
from ccfpse.server.metrics import Metrics

LAYOUT = pngs.grey(np.zeros((32, 32), int))


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/v1/models", "/nothing", "/openapi.json"])
def test_every_answer_carries_the_security_headers(client_for, path):
    headers = client_for().get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if path in ("/", "/static/js/main.js") else "no-store")


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere():
    for name, asset in load_assets().items():
        text = asset.content.decode()
        for scheme in ("http://", "https://", '"//'):
            assert scheme not in text.replace("http://www.w3.org/2000/svg", ""), name
        if name.endswith(".html"):
            assert "style=" not in text
            assert not re.search(r"\son\w+\s*=", text)
            assert all("src=" in script for script in re.findall(r"<script.*?>", text))


def test_files_are_not_sent_again_when_unchanged(client_for):
    client = client_for()
    first = client.get("/static/js/main.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get("/static/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("[::1]:8765", 200),
        ("192.0.2.7:8765", 200),
        ("studio.example:80", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("evil.example@127.0.0.1", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_foreign_host_names_are_refused(client_for, host, status):
    answer = client_for(hosts=("Studio.example",)).get("/v1/models", headers={"Host": host})
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["code"] == "unknown_host"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8765", 200),
        ("http://127.0.0.1:9000", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_origins_are_refused(client_for, origin, status):
    answer = client_for().post("/v1/generate", files={"labels": LAYOUT}, headers={"Origin": origin})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "foreign_origin"


def test_the_token(client_for):
    client = client_for(token="open-sesame")
    for path in ("/", "/static/js/main.js", "/healthz"):
        assert client.get(path).status_code == 200
    for path in ("/v1/models", "/metrics", "/openapi.json", "/static/js/nothing.js", "/v1/../healthz/x"):
        for given in (None, "Bearer wrong-one", "Bearer", "Basic open-sesame", "Bearer öpen"):
            headers = {} if given is None else {"Authorization": given.encode("latin-1")}
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "token_needed")
            assert answer.headers["www-authenticate"] == "Bearer"
    answer = client.get("/v1/models", headers={"Authorization": "bearer open-sesame"})
    assert answer.status_code == 200


def test_large_bodies_are_refused_with_and_without_a_length(client_for):
    engine = FakeEngine()
    client = client_for(engine, limits=Limits(body_bytes=5000))
    assert client.post("/v1/generate", files={"labels": LAYOUT}).status_code == 200
    told = client.post("/v1/generate", files={"labels": bytes(6000)})
    assert (told.status_code, told.json()["code"]) == (413, "too_large")
    pieces = (bytes(1000) for _ in range(100))
    kind = {"content-type": "multipart/form-data; boundary=x"}
    untold = client.post("/v1/generate", content=pieces, headers=kind)
    assert (untold.status_code, untold.json()["code"]) == (413, "too_large")
    odd = client.post("/v1/generate", headers={"Content-Length": "-1"})
    assert odd.status_code == 400
    assert engine.calls == 1


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("example.com", False),
    ],
)
def test_other_addresses_need_a_token_or_a_word(host, loopback):
    assert is_loopback(host) is loopback
    check_binding(host, "long-enough", False)
    check_binding(host, None, True)
    if loopback:
        check_binding(host, None, False)
    else:
        with pytest.raises(ValueError, match="can be reached from other machines; set a token"):
            check_binding(host, None, False)


@pytest.mark.parametrize("token", ["", "short", "with space in it", "ünïcödë-token"])
def test_poor_tokens_are_refused(token):
    with pytest.raises(ValueError, match="at least 8 visible ASCII characters"):
        check_binding("127.0.0.1", token, False)


def test_a_port_in_use_is_told_at_once():
    with launch._listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ValueError, match=f"cannot listen on 127.0.0.1:{port} .*in use.; try another port"
        ):
            launch._listen("127.0.0.1", port)
    with pytest.raises(ValueError, match=r"0\.\.65535, got 70000"):
        launch._listen("127.0.0.1", 70000)


def test_the_greeting_hides_the_token_behind_the_fragment():
    assert "http://127.0.0.1:8765/ " in launch._greeting("127.0.0.1", 8765, None)
    assert "http://127.0.0.1:80/#token=a%2Fb%23cdefgh " in launch._greeting("0.0.0.0", 80, "a/b#cdefgh")
    assert "http://[::1]:80/ " in launch._greeting("::1", 80, None)


@pytest.mark.parametrize(
    ("host", "told"), [("0.0.0.0", True), ("::", True), ("::1", False), ("10.0.0.7", False)]
)
def test_the_greeting_of_a_server_on_all_addresses_says_how_others_reach_it(host, told):
    assert ("elsewhere by this machine's address" in launch._greeting(host, 80, "a" * 8)) == told


def test_the_command_allows_names_of_a_reverse_proxy(monkeypatch):
    apps = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: apps.append(server.config.app))
    cli.studio(port=0, allow_host=["Studio.example", "paint.example"])
    client = TestClient(apps[0])
    for name, status in [("studio.example", 200), ("paint.example", 200), ("evil.example", 400)]:
        headers = {"Host": name, "Origin": f"https://{name}"}
        assert client.get("/v1/models", headers=headers).status_code == status


def test_invented_methods_are_counted_as_one(client_for):
    client = client_for()
    for number in range(3):
        assert client.request(f"BREW{number}", "/healthz").status_code == 405
    text = client.get("/metrics").text
    assert "BREW" not in text
    assert 'requests_total{method="any",route="/healthz",status="405"} 3' in text


def test_an_answer_to_a_fault_is_headed_and_counted_and_the_fault_is_logged(client_for, monkeypatch):
    def fail(self, labels, **_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(FakeEngine, "generate", fail)
    client = client_for()
    answer = client.post("/v1/generate", files={"labels": LAYOUT})
    assert answer.json() == {"code": "internal_error", "message": "a fault of the server; its log says more"}
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    counted = 'ccfpse_requests_total{method="POST",route="/v1/generate",status="500"} 1'
    assert counted in client.get("/metrics").text.splitlines()
    strict = TestClient(client.app, base_url="http://127.0.0.1:8765")  # sees what the server would log
    with pytest.raises(RuntimeError, match="secret detail"):
        strict.post("/v1/generate", files={"labels": LAYOUT})


def test_a_fault_in_the_midst_of_an_answer_starts_no_second_one():
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("in the midst")

    with pytest.raises(RuntimeError, match="in the midst"):  # the client would object to a second start
        TestClient(Headed(broken, Metrics())).get("/")


def test_limits_must_be_positive():
    with pytest.raises(ValueError, match="images must be positive, got 0"):
        Limits(images=0)


def test_neither_the_server_nor_the_data_sets_import_torch():
    code = "import sys, ccfpse.server.app, ccfpse.data; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
