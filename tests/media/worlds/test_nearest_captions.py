"""What the shipped worlds say of texts that no split of theirs holds."""

import pytest

from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.config.compose import compose_options
from lumina_core.plugins import host
from lumina_core.runtime import seeded

NUM_DRAWN = 60  # of each split and task
OUTSIDE = {
    "image": {
        "a purple ring on a purple background": "a purple ring",
        "a red circle and a red circle": "a green circle and a red circle",
        "a circle to the left of a circle": "a circle to the left of a square",
        "stars": "a star",
        "five yellow stars": "four yellow stars",
        "a pink disc on a dark background": "a red circle on a black background",
        "giant red oval by a tiny box": "a large red circle next to a small square",
        "three stars above a ring": "a star above a ring",
        "four red circles and three blue squares": "three blue squares and a red circle",
        "a red circle and a blue square below a green star": (
            "a red circle a blue square and a green star"
        ),
        "a cat on a sofa": "a circle",
    },
    "video": {
        "a blue ring melting and fading to yellow": "a ring turning from blue to yellow",
        "a red circle moving right and growing": (
            "a red circle moving to the right and then growing"
        ),
        "a star turning from red to blue to green": "a star turning from red to blue",
        "a small yellow star that dances and grows": "a small yellow star growing",
        "two tiny stars jumping to the left": "two small stars moving to the left",
        "a red star turns blue while a green ring spins up": (
            "a red star turning blue and a green ring moving up"
        ),
        "a small star hopping up and a large ring moving up": (
            "a small star moving up and a large ring moving up"
        ),
        "a bouncy ball that doesn't move": "a circle standing still",
        "a white ring going wildly down": "a white ring moving down",
        "a green star spinning on a black background": (
            "a green star moving to the left on a black background"
        ),
        "a red square stays where it is as the green cross tries to rise": (
            "a red square standing still and a green cross moving up"
        ),
        "a purple star shrinking on a purple background": "a star shrinking on a purple background",
        "a red star turning blue on a blue background": "a star turning from red to blue",
        "a red circle passing a red circle": "a green circle passing a red circle",
        "a green star grows while a white ring gets bigger": (
            "a green star growing and a white ring moving to the left"
        ),
        "nothing at all": "a circle moving to the left",
    },
    "multiview": {
        "two red cubes": "a red cube",
        "a small pink cone": "a small red cone",
        "a giant red box on a white background": "a large red cube",
        "a cube, red in front and red behind": "a cube red in front and green behind",
        "a torus, red at the top and blue at the bottom": (
            "a cube red at the top and blue at the bottom"
        ),
        "a grey cone, red behind": "a cone white in front and red behind",
        "a cylinder, red, green and blue": "a cylinder red in front and green behind",
        "a cube with red sides and a blue top": "a cube red at the top and blue at the bottom",
        "a cube, red in front and blue at the bottom": "a cube red in front and blue behind",
        "red left yellow right": "a cube red on the left and yellow on the right",
        "a prism, left red, right yellow": "a cube red on the left and yellow on the right",
        "a red cube seen from above": "a red cube",
        "a dog": "a cube",
    },
    "audio": {
        "five short beeps": "four short beeps",
        "a siren": "a rising sweep",
        "a low beep, a high beep, a chord and a tone": "a low beep then a high beep then a chord",
        "a soft tone that gets loud": "a soft tone then a loud tone",
        "a fast trembling high note followed by a beep": "a high tone then a beep",
        "a long beep, a short beep and a long beep": "a long beep then a short beep",
        "four high beeps then a low tone": "a high beep then a low tone",
        "a dog barking": "a beep",
    },
}
INSIDE = {
    "image": "A Red circle  to the left of a blue square!",
    "video": "A red circle, moving up, and then growing.",
    "multiview": "a L-shape, red in front and blue behind",
    "audio": "Two short high beeps, then a falling sweep.",
}


@pytest.fixture(scope="module", params=host.SHIPPED)
def modality(request):
    options = compose_options(request.param)
    vae = find_vae(request.param, options.vae, download=False)
    return request.param, host.modality_class(request.param)(options, vae)


def test_every_drawn_caption_is_inside(modality):
    _, parts = modality
    outside = [
        caption
        for split in parts.world.splits
        for task in parts.world.tasks(split)
        for number in range(NUM_DRAWN)
        for caption in [parts.world.caption(split, seeded(number), task)]
        if parts.world.nearest(caption) is not None
    ]
    assert outside == []


def test_spelling_that_the_encoder_reads_alike_is_inside(modality):
    name, parts = modality
    assert parts.world.nearest(INSIDE[name]) is None


def test_what_no_split_says_is_outside_and_the_nearest_is_inside(modality):
    name, parts = modality
    assert {text: parts.world.nearest(text) for text in OUTSIDE[name]} == OUTSIDE[name]
    for caption in OUTSIDE[name].values():
        assert parts.world.nearest(caption) is None
        parts.world.task_of(caption)  # it can be drawn


def test_any_text_has_a_nearest_caption(modality):
    _, parts = modality
    for text in ("", " . ", "\x1b[2J\n", "雪だるま", "red " * 10**6, "a " * 10**5, "%s{}[]"):
        found = parts.world.nearest(text)
        assert found is not None
        assert parts.world.nearest(found) is None
