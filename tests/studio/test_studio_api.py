"""The API's answers: every endpoint, every way to send a layout, and every error it promises."""

import io
import json
import zipfile

import numpy as np
import pngs
import pytest
from fake_engine import SPACE, FakeEngine
from PIL import Image

from ccfpse.server.limits import Limits

ZERO = json.dumps([0, 0, 0, 0])
LAYOUT = np.zeros((32, 64), np.int64)
LAYOUT[:16] = 10
LAYOUT[20:24, 8:16] = 1
SIZE = {"width": 64, "height": 32}
SKY, FACADE, WINDOW = (140, 200, 240), (180, 120, 90), (90, 160, 220)


def photo(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.asarray(image)


def assert_follows(picture):
    """The fake engine paints each class in its colour when the style is zero."""
    assert picture.shape == (32, 64, 3)
    for (y, x), color in {
        (0, 0): SKY,
        (15, 63): SKY,
        (16, 0): FACADE,
        (22, 10): WINDOW,
        (22, 16): FACADE,
    }.items():
        assert tuple(picture[y, x].tolist()) == color


def test_models(client_for):
    answer = client_for(FakeEngine("a"), FakeEngine("b", style_dim=0)).get("/v1/models").json()
    assert [model["name"] for model in answer["models"]] == ["a", "b"]
    assert answer["models"][0] == {
        "name": "a",
        "classes": 11,
        "height": 64,
        "width": 64,
        "size_multiple": 32,
        "style_dim": 4,
        "uses_instances": False,
        "encodes_style": True,
        "attribution": "Made up for tests.",
    }
    assert answer["limits"]["images"] == 16


def test_classes(client_for):
    answer = client_for().get("/v1/models/fake/classes").json()
    assert answer["names"][1] == "window"
    assert answer["colors"][10] == [140, 200, 240]
    assert answer["ignore"] == 255


def test_random_styles_are_a_function_of_the_seed(client_for):
    client = client_for()
    first = client.get("/v1/models/fake/styles", params={"seed": 7, "count": 3}).json()["styles"]
    assert (len(first), len(first[0])) == (3, 4)
    assert first == client.get("/v1/models/fake/styles", params={"seed": 7, "count": 3}).json()["styles"]
    assert first != client.get("/v1/models/fake/styles", params={"seed": 8, "count": 3}).json()["styles"]


def test_style_of_a_photo(client_for):
    white = io.BytesIO()
    Image.new("RGB", (50, 40), "white").save(white, "JPEG")
    answer = client_for().post("/v1/models/fake/encode-style", files={"reference": white.getvalue()})
    assert answer.json() == {"styles": [[1, 1, 1, 1]]}


FORMS = {
    "grey 8 bit": pngs.grey(LAYOUT),
    "grey 4 bit": pngs.grey(LAYOUT, 4),
    "grey 16 bit": pngs.grey(LAYOUT, 16),
    "indexed, class colours": pngs.indexed(LAYOUT, list(SPACE.colors)),
    "indexed, other colours": pngs.indexed(LAYOUT, [(i, 0, 0) for i in range(256)]),
    "indexed, class colours in another order": pngs.indexed(10 - LAYOUT, list(SPACE.colors[::-1])),
    "RGB": pngs.colored(np.array(SPACE.colors)[LAYOUT]),
    "RGBA, opaque": pngs.colored(np.array([(*color, 255) for color in SPACE.colors])[LAYOUT]),
}


@pytest.mark.parametrize("form", FORMS)
def test_generate_from_png(client_for, form):
    answer = client_for().post("/v1/generate", files={"labels": FORMS[form]}, data={"style": ZERO})
    assert_follows(photo(answer))
    assert "compute;dur=" in answer.headers["server-timing"]


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_generate_from_raw_ids(client_for, dtype):
    files = {"labels": LAYOUT.astype(dtype).tobytes()}
    assert_follows(photo(client_for().post("/v1/generate", files=files, data={"style": ZERO, **SIZE})))


@pytest.mark.parametrize("depth", [1, 2])
def test_ids_of_shallow_grey_pngs_are_not_stretched(client_for, depth):
    ids = np.arange(32 * 32).reshape(32, 32) % 2**depth
    answer = client_for().post("/v1/models/fake/read-layout", files={"labels": pngs.grey(ids, depth)})
    assert (answer.headers["x-width"], answer.headers["x-height"]) == ("32", "32")
    assert np.frombuffer(answer.content, "<u2").tolist() == ids.ravel().tolist()


def test_instance_ids_follow_the_class_ids(client_for):
    files = {"labels": pngs.grey(LAYOUT), "instances": pngs.grey(LAYOUT + 300, 16)}
    content = client_for().post("/v1/models/fake/read-layout", files=files).content
    planes = np.frombuffer(content, "<u2").reshape(2, 32, 64)
    assert (planes[0] == LAYOUT).all()
    assert (planes[1] == LAYOUT + 300).all()


def test_black_is_unlabelled_in_colour_layouts(client_for):
    black = pngs.colored(np.zeros((3, 5, 3)))
    answer = client_for().post("/v1/models/fake/read-layout", files={"labels": black})
    assert np.frombuffer(answer.content, "<u2").tolist() == [255] * 15


def test_nearest_class_for_blended_colours(client_for):
    pixels = np.array([[SKY, (142, 199, 238), (92, 158, 220)]])
    files = {"labels": pngs.colored(pixels)}
    strict = client_for().post("/v1/models/fake/read-layout", files=files)
    assert strict.status_code == 422
    assert strict.json()["code"] == "unknown_color"
    assert "2 pixels" in strict.json()["message"]
    assert "#8ec7ee (1 pixels)" in strict.json()["message"]
    snapped = client_for().post("/v1/models/fake/read-layout", files=files, data={"nearest": "true"})
    assert np.frombuffer(snapped.content, "<u2").tolist() == [10, 10, 1]


def test_several_photos_come_as_zip(client_for):
    styles = [[0, 0, 0, 0], [1, 0, 0, 0], [0, -1, 0, 0]]
    files = {"labels": pngs.grey(LAYOUT)}
    answer = client_for().post("/v1/generate", files=files, data={"style": json.dumps(styles)})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["photo-01.png", "photo-02.png", "photo-03.png", "about.json"]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()[:3]]
        about = json.loads(archive.read("about.json"))
    assert [picture[0, 0].tolist() for picture in pictures] == [
        [140, 200, 240],
        [160, 200, 240],
        [140, 180, 240],
    ]
    assert about == {"model": "fake", "attribution": "Made up for tests.", "styles": styles}


def test_seed_and_count(client_for):
    client, files = client_for(), {"labels": pngs.grey(LAYOUT)}
    one = client.post("/v1/generate", files=files, data={"seed": 5})
    assert (photo(one) == photo(client.post("/v1/generate", files=files, data={"seed": 5}))).all()
    assert (photo(one) != photo(client.post("/v1/generate", files=files, data={"seed": 6}))).any()
    several = client.post("/v1/generate", files=files, data={"seed": 5, "count": 2})
    with zipfile.ZipFile(io.BytesIO(several.content)) as archive:
        assert json.loads(archive.read("about.json"))["seed"] == 5
        assert len(archive.namelist()) == 3


def test_reference_photo(client_for):
    # The fake engine reads white as (1, 1, 1, 1), which brightens by 20; a tall photo must keep its shape.
    white = io.BytesIO()
    Image.new("RGB", (30, 3000), "white").save(white, "WEBP")
    files = {"labels": pngs.grey(LAYOUT), "reference": white.getvalue()}
    assert photo(client_for().post("/v1/generate", files=files))[20, 0].tolist() == [200, 140, 110]


def test_photos_are_turned_upright():
    from ccfpse.server.decoding import read_photo

    image = Image.new("RGB", (40, 20), "red")
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by 90°
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert read_photo(buffer.getvalue(), 10**6).shape == (40, 20, 3)
    large = io.BytesIO()
    Image.new("RGB", (4000, 1000)).save(large, "JPEG")
    assert read_photo(large.getvalue(), 10**7).shape == (256, 1024, 3)


def test_instances_reach_the_engine(client_for):
    client = client_for(FakeEngine(uses_instances=True))
    ids = np.zeros((32, 64), np.int64)
    ids[0, 0], ids[1, 1] = 1, 259  # 259 % 8 = 3
    raw = {"labels": LAYOUT.astype("u1").tobytes(), "instances": ids.astype("<u2").tobytes()}
    image = {"labels": pngs.grey(LAYOUT), "instances": pngs.grey(ids, 16)}
    for files, data in ((raw, SIZE), (image, {})):
        picture = photo(client.post("/v1/generate", files=files, data={"style": ZERO, **data}))
        assert picture[0, 0].tolist() == [145, 205, 245]
        assert picture[1, 1].tolist() == [155, 215, 255]
        assert picture[2, 2].tolist() == [140, 200, 240]
    # Without an instance map the engine gets none.
    assert_follows(
        photo(client.post("/v1/generate", files={"labels": pngs.grey(LAYOUT)}, data={"style": ZERO}))
    )


def test_bundled_layouts_only_for_models_of_their_classes(client_for, tmp_path, monkeypatch):
    from ccfpse.labels import LabelSpace
    from ccfpse.server import app, layouts

    (tmp_path / "b.png").write_bytes(pngs.indexed(LAYOUT, list(SPACE.colors)))
    (tmp_path / "c.png").write_bytes(pngs.indexed(LAYOUT, list(SPACE.colors)))
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances" / "b.png").write_bytes(pngs.grey(LAYOUT + 300, 16))
    (tmp_path / "a.png").write_bytes(pngs.grey(LAYOUT))  # no colours: whose classes are these?
    monkeypatch.setattr(app, "bundled_layouts", lambda: layouts.bundled_layouts(tmp_path))
    other = LabelSpace(("road", "tree"), ((1, 2, 3), (4, 5, 6)))
    client = client_for(FakeEngine("one"), FakeEngine("two", other))
    assert client.get("/v1/models/one/layouts").json() == {"layouts": ["b", "c"]}
    assert client.get("/v1/models/two/layouts").json() == {"layouts": []}
    assert client.get("/v1/models/one/layouts/b").content == (tmp_path / "b.png").read_bytes()
    instances = (tmp_path / "instances" / "b.png").read_bytes()
    assert client.get("/v1/models/one/layouts/b/instances").content == instances
    assert client.get("/v1/models/one/layouts/c/instances").json()["code"] == "no_instances"
    for name in ("a", "d", "..%2fb", "%2e%2e", "instances%2fb"):
        assert client.get(f"/v1/models/one/layouts/{name}").status_code == 404


def generate(client, labels=None, files=None, **data):
    content = pngs.grey(LAYOUT) if labels is None else labels
    return client.post("/v1/generate", files={"labels": content, **(files or {})}, data=data)


WRONG = LAYOUT.copy()
WRONG[0, :3], WRONG[1, 0] = 77, 12
TINY_JPEG = io.BytesIO()
Image.new("RGB", (8, 8)).save(TINY_JPEG, "JPEG")
JPEG = TINY_JPEG.getvalue()
BOMB = pngs.encode([b"\0"] * 4, 60000, 1, 0, height=60000)
# A small header before the large one, which Pillow's own limit would let pass.
HIDDEN_BOMB = pngs.grey(LAYOUT)[:33] + pngs.encode([b"\0" * 375] * 3000, 3000, 1, 0)[8:]

ERRORS = {
    "size is no multiple": (
        lambda c: generate(c, pngs.grey(np.zeros((30, 70), int))),
        (422, "wrong_size", "70×30 (width×height), but this model takes multiples of 32; resize to 64×32"),
    ),
    "unknown ids": (
        lambda c: generate(c, pngs.grey(WRONG)),
        (422, "unknown_id", "label id 77 (3 pixels), 12 (1 pixel)"),
    ),
    "unknown raw ids": (
        lambda c: generate(c, WRONG.astype("u1").tobytes(), **SIZE),
        (422, "unknown_id", "label id 77 (3 pixels), 12 (1 pixel)"),
    ),
    "unknown colours": (
        lambda c: generate(c, pngs.colored(np.full((32, 32, 3), 9))),
        (422, "unknown_color", "1024 pixels have a colour of no class: #090909 (1024 pixels)"),
    ),
    "layout over the pixel limit": (
        lambda c: generate(c, pngs.grey(np.zeros((128, 160), int))),
        (413, "too_large", "160×128 is over the limit of 16384 pixels"),
    ),
    "raw layout over the pixel limit": (
        lambda c: generate(c, b"\0" * (128 * 160), width=160, height=128),
        (413, "too_large", "160×128 is over the limit of 16384 pixels"),
    ),
    "too many photos": (lambda c: generate(c, count=9), (413, "too_large", "9 photos; at most 8")),
    "too many pixels together": (
        lambda c: generate(c, pngs.grey(np.zeros((128, 128), int)), count=3),
        (413, "too_large", "3 photos of this size are over 40000 pixels together"),
    ),
    "not an image": (lambda c: generate(c, b"hello"), (422, "not_an_image", "not a PNG")),
    "empty file": (lambda c: generate(c, b""), (422, "not_an_image", "not a PNG")),
    "a JPEG": (lambda c: generate(c, JPEG), (422, "not_an_image", "lossy formats would change class ids")),
    "a damaged PNG": (lambda c: generate(c, pngs.grey(LAYOUT)[:60]), (422, "not_an_image", "damaged")),
    "a decompression bomb": (
        lambda c: generate(c, BOMB),
        (413, "too_large", "60000×60000 is over the limit of 16384 pixels"),
    ),
    "a bomb behind a small header": (
        lambda c: generate(c, HIDDEN_BOMB),
        (422, "not_an_image", "more than one header"),
    ),
    "a transparent PNG": (
        lambda c: generate(c, pngs.colored(np.zeros((32, 32, 4)))),
        (422, "wrong_image", "1024 pixels are transparent"),
    ),
    "raw ids of another size": (
        lambda c: generate(c, b"\0" * 100, **SIZE),
        (422, "wrong_size", "100 bytes are not 64×32 ids; send 2048 bytes (8-bit) or 4096 (16-bit"),
    ),
    "width alone": (lambda c: generate(c, width=64), (422, "invalid_request", "both width and height")),
    "unknown model": (
        lambda c: generate(c, model="nobody"),
        (404, "unknown_model", "no such model; there are: fake, plain, parts"),
    ),
    "classes of an unknown model": (
        lambda c: c.get("/v1/models/nobody/classes"),
        (404, "unknown_model", "no such model"),
    ),
    "seed is no number": (lambda c: generate(c, seed="x"), (422, "invalid_request", "seed: ")),
    "negative seed": (lambda c: generate(c, seed=-1), (422, "invalid_request", "seed: ")),
    "count zero": (lambda c: generate(c, count=0), (422, "invalid_request", "count: ")),
    "no labels": (lambda c: c.post("/v1/generate", data={"seed": 1}), (422, "invalid_request", "labels: ")),
    "labels as text": (
        lambda c: c.post("/v1/generate", data={"labels": "a.png"}),
        (422, "invalid_request", "labels: "),
    ),
    "style is no JSON": (lambda c: generate(c, style="1,2"), (422, "wrong_style", "4 numbers within ±100")),
    "style is deep": (lambda c: generate(c, style="[" * 100_000), (422, "wrong_style", "4 numbers")),
    "style of words": (
        lambda c: generate(c, style='["a", "b", "c", "d"]'),
        (422, "wrong_style", "4 numbers"),
    ),
    "style not finite": (lambda c: generate(c, style="[NaN, 0, 0, 0]"), (422, "wrong_style", "4 numbers")),
    "style too long": (lambda c: generate(c, style="[0, 0, 0, 0, 0]"), (422, "wrong_style", "got 5")),
    "ragged styles": (lambda c: generate(c, style="[[0, 0, 0, 0], [0]]"), (422, "wrong_style", "4 numbers")),
    "styles and another count": (
        lambda c: generate(c, style=json.dumps([[0] * 4] * 2), count=3),
        (422, "invalid_request", "count is 3, but style holds 2 vectors"),
    ),
    "style and reference": (
        lambda c: generate(c, style=ZERO, files={"reference": JPEG}),
        (422, "invalid_request", "exclude each other"),
    ),
    "style for a model without": (
        lambda c: generate(c, model="plain", style=ZERO),
        (422, "no_style", "plain"),
    ),
    "seeds of a model without styles": (
        lambda c: c.get("/v1/models/plain/styles"),
        (422, "no_style", "one layout gives one photo"),
    ),
    "reference for a model without encoder": (
        lambda c: generate(c, model="plain", files={"reference": JPEG}),
        (422, "no_style_encoder", "plain cannot take its style from a photo"),
    ),
    "reference is no photo": (
        lambda c: generate(c, files={"reference": b"GIF89a"}),
        (422, "not_an_image", "reference: not a readable JPEG, PNG or WebP"),
    ),
    "reference is a bomb": (
        lambda c: c.post("/v1/models/fake/encode-style", files={"reference": BOMB}),
        (413, "too_large", "reference: "),
    ),
    "reference over the limit": (
        lambda c: c.post(
            "/v1/models/fake/encode-style", files={"reference": pngs.grey(np.zeros((200, 300), int))}
        ),
        (413, "too_large", "reference: 300×200 is over the limit of 50000 pixels"),
    ),
    "instances of another size": (
        lambda c: generate(c, model="parts", files={"instances": pngs.grey(np.zeros((32, 32), int))}),
        (422, "wrong_size", "instances: 32×32, but labels: 64×32"),
    ),
    "instances in colour": (
        lambda c: generate(c, model="parts", files={"instances": pngs.colored(np.zeros((32, 64, 3)))}),
        (422, "wrong_image", "instances: a colour PNG"),
    ),
    "unknown path": (lambda c: c.get("/v1/nothing"), (404, "not_found", "Not Found")),
    "unknown file": (lambda c: c.get("/static/../server/app.py"), (404, "not_found", "")),
    "unknown encoded file": (lambda c: c.get("/static/..%2f..%2flabels.py"), (404, "not_found", "")),
    "unknown method": (lambda c: c.get("/v1/generate"), (405, "method_not_allowed", "Method Not Allowed")),
    "broken multipart": (
        lambda c: c.post("/v1/generate", content=b"x", headers={"content-type": "multipart/form-data"}),
        (400, "bad_request", ""),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(client_for, case):
    limits = Limits(images=8, layout_pixels=128 * 128, total_pixels=40_000, photo_pixels=50_000)
    plain = FakeEngine("plain", style_dim=0, encodes_style=False)
    client = client_for(FakeEngine(), plain, FakeEngine("parts", uses_instances=True), limits=limits)
    request, (status, code, words) = ERRORS[case]
    answer = request(client)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == code
    assert words in answer.json()["message"]


def test_what_the_engine_refuses_is_the_requests_fault(client_for, monkeypatch):
    def refuse(self, labels, **_):
        raise ValueError("labels: too many windows")

    monkeypatch.setattr(FakeEngine, "generate", refuse)
    answer = generate(client_for())
    assert (answer.status_code, answer.json()["message"]) == (422, "labels: too many windows")


def test_a_fault_of_ours_shows_no_traceback(client_for, monkeypatch):
    def fail(self, labels, **_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(FakeEngine, "generate", fail)
    answer = generate(client_for())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


def test_health_and_metrics(client_for):
    client = client_for()
    assert client.get("/healthz").json() == {"status": "ok", "pending": 0, "waiting_limit": 16}
    generate(client, count=3)
    generate(client, count=99)
    client.get("/v1/models/unseen/classes")
    client.get("/no/such/path")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in (
        'ccfpse_requests_total{method="POST",route="/v1/generate",status="200"} 1',
        'ccfpse_requests_total{method="POST",route="/v1/generate",status="413"} 1',
        'ccfpse_requests_total{method="GET",route="/v1/models/{name}/classes",status="404"} 1',
        'ccfpse_requests_total{method="any",route="none",status="404"} 1',
        'ccfpse_images_total{model="fake"} 3',
        "# TYPE ccfpse_compute_seconds histogram",
        'ccfpse_compute_seconds_bucket{le="+Inf"} 1',
        "ccfpse_compute_seconds_count 1",
        "ccfpse_rejected_requests_total 0",
        "ccfpse_pending_requests 0",
    ):
        assert line in lines


def test_openapi_is_served_here_and_complete(client_for):
    client = client_for()
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/models",
        "/v1/models/{name}/classes",
        "/v1/models/{name}/styles",
        "/v1/models/{name}/layouts",
        "/v1/models/{name}/encode-style",
        "/v1/models/{name}/layouts/{layout}",
        "/v1/models/{name}/layouts/{layout}/instances",
        "/v1/models/{name}/read-layout",
        "/v1/generate",
        "/healthz",
        "/metrics",
    }
    assert set(paths["/v1/generate"]["post"]["responses"]["200"]["content"]) == {
        "image/png",
        "application/zip",
    }
    for path in ("/docs", "/redoc"):  # they would load scripts from elsewhere
        assert client.get(path).status_code == 404


def test_two_models_of_one_name_are_refused():
    from ccfpse.server.app import create_app

    with pytest.raises(ValueError, match="different names"):
        create_app([FakeEngine("a"), FakeEngine("a")])
    with pytest.raises(ValueError, match="at least one model"):
        create_app([])
