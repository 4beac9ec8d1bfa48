"""Hostile input: requests made from the OpenAPI description, and damaged bodies, never give a 500."""

import json
import random

import numpy as np
import pngs
import pytest
from fake_engine import FakeEngine
from hypothesis import HealthCheck, Phase, settings

from ccfpse.server.app import create_app
from ccfpse.server.limits import Limits

schemathesis = pytest.importorskip("schemathesis")
positive_data_acceptance = pytest.importorskip("schemathesis.checks").positive_data_acceptance

SMALL = Limits(body_bytes=200_000, layout_pixels=128 * 128, photo_pixels=128 * 128)
app = create_app([FakeEngine("fake", uses_instances=True)], limits=SMALL, hosts=("testserver",))
schema = schemathesis.openapi.from_asgi("/openapi.json", app)


def fuzzed(operation):
    """The test of one operation; schemathesis gives all of a schema one name, of which xdist runs but one."""

    @schema.include(name=operation).parametrize()
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def test(case):
        # No schema says which bytes are an image of the right ids, so refusing described data is right.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    return test


OPERATIONS = [result.ok().label for result in schema.get_all_operations()]
for name in OPERATIONS:
    globals()[f"test_answers_are_as_described[{name}]"] = fuzzed(name)


def test_every_operation_is_fuzzed():
    described = app.openapi()["paths"].values()
    assert len(OPERATIONS) == sum(len(methods) for methods in described) > 5


LAYOUT = np.zeros((32, 32), np.int64)
IMAGES = [
    pngs.grey(LAYOUT),
    pngs.grey(LAYOUT, 16),
    pngs.indexed(LAYOUT, [(i, i, i) for i in range(11)]),
    pngs.colored(np.zeros((32, 32, 3))),
]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A cut, flipped, doubled or lengthened copy."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        what = chance.randrange(4)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del data[at : at + chance.randint(1, 9)]
        elif what == 2:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        else:
            data[at:at] = chance.randbytes(chance.randint(1, 9))
        data = data or bytearray(b"\0")
    return bytes(data)


def check(answer):
    assert answer.status_code != 500, answer.text
    assert "Traceback" not in answer.text
    if answer.status_code >= 400:
        assert set(answer.json()) == {"code", "message"}


@pytest.mark.parametrize("kind", range(len(IMAGES)))
def test_damaged_images(client_for, kind):
    client, chance = client_for(FakeEngine(uses_instances=True), limits=SMALL), random.Random(kind)
    for _ in range(40):
        files = {"labels": damaged(IMAGES[kind], chance), "instances": damaged(IMAGES[1], chance)}
        check(client.post("/v1/generate", files=files))
        check(client.post("/v1/models/fake/encode-style", files={"reference": damaged(IMAGES[3], chance)}))


# The form parser leaves the temporary files of a body that it gives up to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damaged_multipart_bodies(client_for):
    client, chance = client_for(limits=SMALL), random.Random(0)
    fields = {"seed": 1, "count": 2, "style": json.dumps([0, 0, 0, 0])}
    request = client.build_request("POST", "/v1/generate", files={"labels": IMAGES[0]}, data=fields)
    body, kind = request.read(), request.headers["content-type"]
    for _ in range(120):
        check(client.post("/v1/generate", content=damaged(body, chance), headers={"content-type": kind}))


def test_odd_fields_and_paths(client_for):
    client = client_for(limits=SMALL)
    odd = [
        "",
        "\0",
        "-1",
        "1e309",
        "9" * 400,
        "nan",
        "é\u202e",
        "[]",
        "[[]]",
        "{}",
        "null",
        "[1e300]",
        "true",
    ]
    for value in odd:
        for field in ("seed", "count", "style", "model", "width", "height"):
            check(client.post("/v1/generate", files={"labels": IMAGES[0]}, data={field: value}))
        check(
            client.post("/v1/generate", files={"labels": IMAGES[0]}, data={"width": value, "height": value})
        )
    for path in (
        "/v1/models/%00/classes",
        "/v1/models/%ff%fe/classes",
        "/static/%00",
        "/%2e%2e/x",
        "//",
        "/v1//x",
    ):
        check(client.get(path))
