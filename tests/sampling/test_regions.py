"""`regions` gives each cell of a grid its part of the prompt, and files tell of it."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lumina_core import LuminaError, load
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.flow.settings import GuidanceConfig, SolverConfig
from lumina_core.sampling import regions
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.generate import all_requests, generate_each
from lumina_core.sampling.prompt_notes import request_notes
from lumina_core.sampling.regions import asked_of, asked_without
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import in_turn
from lumina_core.sampling.velocity import GuidedVelocity, first_tokens
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.text.settings import Negative

NETWORK = SimpleNamespace(worded=lambda text, options: text)
FOUR = "a red ring | a blue star|a green cross |a grey circle"
WORDS = ["modality=image", "modality.height=32", "modality.width=48", "solver.num_steps=2"]


@pytest.fixture(scope="module")
def model(tiny_model):
    """With weights that make text and noise matter; three steps of training hardly move them."""
    generator = torch.Generator().manual_seed(0)
    backbone = copy.deepcopy(tiny_model.backbone)
    for name, weight in backbone.named_parameters():
        if any(part in name for part in ("modulation", "outputs", "pooled_linear")):
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return replace(tiny_model, backbone=backbone, placed=None)


def composed(prompt, *words):
    return compose_run([*WORDS, f"prompt={prompt}", *words])


def request(prompt=FOUR, cells=(2, 2), negative="a star"):
    options = replace(compose_options("image"), height=32, width=48)
    return Request(prompt, negative, 3, options, None, cells)


def test_the_parts_of_a_prompt_are_parted_by_bars():
    asked = asked_of(request(), NETWORK)
    assert asked.texts == ["a red ring", "a blue star", "a green cross", "a grey circle"]
    assert asked.pooled == "a red ring a blue star a green cross a grey circle"
    assert asked_without(request(), NETWORK) == ([Negative("a star", FOUR)], (1, 1), asked.pooled)
    plain = request("a ring | a star", None)
    assert asked_of(plain, NETWORK) == (["a ring | a star"], (1, 1), "a ring | a star")
    assert asked_of(plain, NETWORK).is_plain and asked_without(plain, NETWORK).is_plain
    assert asked_without(plain, NETWORK).texts == [Negative("a star", "a ring | a star")]


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ((2, 2), "000111 000111 222333 222333"),  # the released demo has 000111 111333 there
        ((1, 3), "001122 001122 001122 001122"),
        ((4, 1), "000000 111111 222222 333333"),
        ((3, 2), "000111 000111 222333 444555"),
    ],
)
def test_each_cell_has_its_own_part(model, cells, wanted):
    (batch,) = [model.backbone.pack([first_tokens(model, request())])]
    num_parts = cells[0] * cells[1]
    asked = [asked_of(request("|".join("abcdef"[:num_parts]), cells), model.backbone)]
    found = regions.regions_of(model, batch, asked)
    of_patch = found.text_of[batch.content_index].tolist()
    rows = wanted.split()
    assert of_patch == [int(digit) for row in rows for digit in row] and len(rows) == 4
    assert len(found.pooled_lengths) == 1


def velocities(model, *requests, scale=1.0):
    sampling = replace(
        compose_sampling("image"),
        solver=SolverConfig(num_steps=2),
        guidance=GuidanceConfig(scale=scale),
    )
    velocity = GuidedVelocity(model, requests, sampling)
    with torch.no_grad():
        found = velocity(0.4, velocity.x_0)
    return found, velocity


def test_a_grid_of_one_cell_is_the_prompt_alone(model):
    one, plain = (velocities(model, request("a ring", cells))[0] for cells in ((1, 1), None))
    assert torch.equal(one, plain) and plain.std() > 0.1


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_every_part_matters(model, scale):
    whole, velocity = velocities(model, request(), scale=scale)
    assert velocity.num_evaluations == (1 if scale == 1 else 2)
    for part in FOUR.split("|"):
        other = request(FOUR.replace(part, "a white triangle"))
        assert not torch.equal(velocities(model, other, scale=scale)[0], whole)
    assert not torch.equal(velocities(model, request(FOUR, None), scale=scale)[0], whole)


def test_samples_with_and_without_regions_share_a_batch(model):
    mixed = [request("a ring", None), request(), request("a ring | a star", (1, 2))]
    together = velocities(model, *mixed, scale=3.0)[0]
    apart = [velocities(model, each, scale=3.0)[0] for each in mixed]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-4, rtol=1e-4)


def test_all_texts_are_encoded_ahead(model):
    class Recording(FrozenTextEncoder):
        def __init__(self):
            self.texts, self.tokenizer = [], None

        def encode_ahead(self, texts, *, cache=None):
            self.texts += texts

    encoder = Recording()
    given = replace(model, text_encoder=encoder)
    list(in_turn(given, [[request("a ring | a star", (1, 2))]], GuidanceConfig()))
    pooled = "a ring a star"
    without = Negative("a star", "a ring | a star")
    assert encoder.texts == ["a ring", "a star", pooled, without, pooled]


@pytest.mark.parametrize(
    ("prompt", "words", "message"),
    [
        (FOUR, "regions=[1,3]", r"regions=\[1, 3\] has 3 cells, and the prompt has 4 parts"),
        ("a ring", "regions=[2,2]", "has 4 cells, and the prompt has 1 part;"),
        ("|".join("abcdefg"), "regions=[7,1]", "a sample has 4 rows and 6 columns of patches"),
    ],
)
def test_what_does_not_fit_is_refused(model, prompt, words, message):
    with pytest.raises(LuminaError, match=message) as raised:
        all_requests(model, [composed(prompt, words)])
    assert "\n" not in str(raised.value)


def test_text_in_the_sequence_has_no_regions(model):
    changes = {"text": "joint", "rope": "concatenated", "separators": False}
    config = replace(model.backbone.config, **changes, rope_dims=(4, 6, 6))
    backbone = copy.copy(model.backbone)
    backbone.config = config
    with pytest.raises(LuminaError, match="reads its prompt by cross-attention"):
        all_requests(replace(model, backbone=backbone), [composed(FOUR, "regions=[2,2]")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("regions=[0,2]", r"regions is \[0, 2\]; set whole numbers of at least 1"),
        ("regions=2", "regions must be a list"),
        ("regions=[2]", "regions must be a list of 2 values"),
    ],
)
def test_a_grid_that_is_none_is_refused(words, message):
    with pytest.raises(LuminaError, match=message):
        composed(FOUR, words)


def test_a_file_made_again_has_its_regions(model, work):
    config = composed(FOUR, "regions=[2,2]")
    (item,) = generate_each(model, [config])
    item.save("a.png")
    assert json.loads(json.dumps(item.request["regions"])) == [2, 2]
    assert item.settings["regions"] == [2, 2]
    again = compose_run(["repeat=a.png"])
    assert (again.prompt, again.regions) == (FOUR, (2, 2))
    (second,) = generate_each(model, [again])
    assert second.media_sha256 == item.media_sha256
    (plain,) = generate_each(model, [composed(FOUR)])
    assert "regions" not in plain.request and plain.media_sha256 != item.media_sha256


def test_a_file_of_prompts_takes_regions_and_names_the_line(at_checkpoint, work, capsys):
    (work / "a.txt").write_text("a ring | a star\n")
    words = [*at_checkpoint, "modality.height=32", "modality.width=32", "solver.num_steps=1"]
    assert main(["run", *words, "prompt_file=a.txt", "regions=[1,2]", "out=made"]) == 0
    assert load(at_checkpoint[1].removeprefix("checkpoint=")).generate(repeat="made/0001-s0.png")[
        0
    ].request["regions"] == (1, 2)
    (work / "a.txt").write_text("a ring | a star\na ring\n")
    assert main(["run", *words, "prompt_file=a.txt", "regions=[1,2]", "out=other"]) == 2
    assert "a.txt, line 2: regions=[1, 2] has 2 cells" in capsys.readouterr().err
    assert not (work / "other").exists()


def test_notes_are_about_the_parts(model):
    notes = list(request_notes(composed("a red circle | a zebra", "regions=[1,2]"), model))
    assert len(notes) == 1 and "zebra" in notes[0] and "|" not in notes[0]
