"""The whole way once with the real engine: the bundled model behind the page and behind the API."""

import io

import numpy as np
import pytest
from pages import choose, drag, photo_pixel, run, settled
from PIL import Image
from starlette.testclient import TestClient

from ccfpse.server.app import create_app


@pytest.fixture(scope="module")
def engine():
    from ccfpse.engine import Engine
    from ccfpse.model_files import bundled_models

    if not bundled_models():
        pytest.skip("no model is bundled yet")
    return Engine.load(bundled_models()[0])


def test_the_api_draws_with_the_bundled_model(engine):
    client = TestClient(create_app([engine]), base_url="http://localhost")
    with client:
        name = client.get("/v1/models").json()["models"][0]["name"]
        height, width = engine.trained_size
        labels = bytes([0]) * (height * width)
        data = {"width": width, "height": height, "seed": 3}
        answer = client.post("/v1/generate", files={"labels": labels}, data=data)
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as image:
            drawn = np.asarray(image)
        assert (drawn == engine.generate(np.zeros((height, width), np.uint8), seed=3)[0]).all()
        assert len(client.get(f"/v1/models/{name}/layouts").json()["layouts"]) >= 6


@pytest.mark.browser
def test_a_stroke_changes_the_photo_of_the_bundled_model(engine, open_page, serve, picture):
    page = open_page(serve(engine))
    middle = [side // 2 for side in engine.trained_size[::-1]]
    before = photo_pixel(page, *middle)
    picture(page, "bundled")
    choose(page, "rectangle", "sky")
    drag(page, (4, 4), (middle[0] * 2 - 5, middle[1] * 2 - 5))
    settled(page)
    assert photo_pixel(page, *middle) != before
    assert run(page, "return state.photo.bitmap.width") == engine.trained_size[1]
