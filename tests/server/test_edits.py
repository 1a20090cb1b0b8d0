"""Edits of pictures as OpenAI's clients ask for them: what a mask paints."""

import base64
import io
from itertools import count

import pytest
from PIL import Image

SIDE = 32
ASKED = {"prompt": "a star", "num_steps": "2", "seed": "3"}


def bytes_of(picture, kind="PNG"):
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def square(mode, inside, outside):
    """A picture whose left half is of another colour."""
    picture = Image.new(mode, (SIDE, SIDE), outside)
    picture.paste(inside, (0, 0, SIDE // 2, SIDE))
    return picture


@pytest.fixture
def given():
    return bytes_of(square("RGB", "red", "blue"))


def edited(client, **files):
    """The pixels that an edit gives."""
    number = count()
    sent = {key: (f"{next(number)}.png", data) for key, data in files.items()}
    answer = client.post("/v1/images/edits", data=ASKED, files=sent)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]
    return Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))).convert("RGB")


def test_a_clear_mask_paints_what_a_white_one_paints(client, given):
    white = edited(client, image=given, mask=bytes_of(square("RGB", "white", "black")))
    assert white.size == (SIDE, SIDE)  # that of the picture, though nobody asked for it
    # a mask of OpenAI's clients is the picture itself, and bright where nothing is painted
    clear = bytes_of(square("RGBA", (0, 0, 0, 0), (255, 255, 255, 255)))
    assert edited(client, image=given, mask=clear).tobytes() == white.tobytes()
    holed = bytes_of(square("RGBA", (255, 0, 0, 0), (0, 0, 255, 255)))
    alone = edited(client, image=holed)
    right = (SIDE // 2, 0, SIDE, SIDE)
    assert alone.crop(right).getpixel((10, 16)) == white.crop(right).getpixel((10, 16))
    other = edited(client, image=given, mask=bytes_of(square("L", 0, 255)))
    assert other.tobytes() != white.tobytes()


def test_the_openai_client_edits_a_picture(client, given):
    openai = pytest.importorskip("openai")
    api = openai.OpenAI(
        base_url="http://localhost:8000/v1", api_key="none", http_client=client, max_retries=0
    )
    mask = bytes_of(square("RGBA", (0, 0, 0, 0), "blue"))
    more = {"seed": 3, "num_steps": 2}
    answer = api.images.edit(image=given, mask=mask, prompt="a star", n=2, extra_body=more)
    assert [each.b64_json is not None for each in answer.data] == [True, True]
    again = api.images.edit(image=[given], mask=mask, prompt="a star", extra_body=more)
    assert again.data[0].b64_json == answer.data[0].b64_json
    with pytest.raises(openai.BadRequestError, match="the image that was sent cannot be read"):
        api.images.edit(image=b"no picture", prompt="a star")
    with pytest.raises(openai.BadRequestError, match=r"the mask that was sent is 16x16, the image"):
        small = bytes_of(Image.new("RGB", (16, 16), "white"))
        api.images.edit(image=given, mask=small, prompt="a star", extra_body=more)


@pytest.mark.parametrize(
    ("files", "data", "said"),
    [
        ({}, {}, "send the picture to edit"),
        ({"mask": b"x"}, {}, "send the picture to edit"),
        ({"image": None, "other": b"x"}, {}, "takes image, mask"),
        ({"image": None}, {}, "condition.strength"),
        ({"image": None}, {"size": "16x16"}, "larger than the picture"),
        ({"image": None}, {"response_format": "url"}, "response_format is b64_json here"),
    ],
    ids=str,
)
def test_an_edit_that_is_none_is_refused(client, given, files, data, said):
    sent = {key: (f"{key}.png", given if value is None else value) for key, value in files.items()}
    sent = sent or {"x": (None, "1")}  # a form all the same
    answer = client.post("/v1/images/edits", data=ASKED | data, files=sent)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert said in message and "/" not in message
    assert not list(client.app.state.line.folder.iterdir())
