"""What the demo checkpoint must have learned."""

import pytest
import torch
from torch.nn import functional

from lumina_core.checkpoints import manifest as checkpoint
from lumina_core.plugins import demos
from lumina_core.text.encoder import TextEncoder, load_text_encoder
from lumina_core.text.settings import Reading
from lumina_image.grammar import COLOURS, HELD_OUT_PAIRS, SHAPES

NUM_TRAINING, NUM_TEST = 3000, 500  # captions of the probe
MIN_ACCURACY = 0.98  # chance is 1 in 8
MAX_WITHOUT_ORDER = 0.6  # two colours are named: without order, which is whose is a guess
RIDGE = 1e-3  # of the features' mean square: as if each carried 3 % of noise
pytestmark = pytest.mark.demos


@pytest.fixture(scope="module")
def demo():
    return demos.demo_folder("image")


@pytest.fixture(scope="module")
def encoder(demo) -> TextEncoder:
    manifest = checkpoint.read_manifest(demo)
    checkpoint.verify(demo, manifest)
    return load_text_encoder(demo / "text_encoder", Reading(**manifest["text_encoder"]))


def draw(generator: torch.Generator, *, of_test: bool) -> tuple[str, int]:
    """A caption of two coloured things, and the colour of the second one.

    Combinations of its colour and noun are divided: the probe is fitted on some and tested on
    others, none of which was held out of the training of the encoder itself.
    """

    def choose(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    while True:
        first, second = torch.randperm(len(SHAPES), generator=generator)[:2].tolist()
        one, other = choose(len(COLOURS)), choose(len(COLOURS))
        pairs = {(COLOURS[one], SHAPES[first]), (COLOURS[other], SHAPES[second])}
        is_of_test = (other + second) % len(COLOURS) == 3  # one colour of each noun
        if one != other and not pairs & HELD_OUT_PAIRS and is_of_test == of_test:
            break

    def named(colour: int, shape: int) -> str:
        article = "an" if COLOURS[colour][0] in "aeiou" else "a"
        return f"{article} {COLOURS[colour]} {SHAPES[shape]}"

    return f"{named(one, first)} and {named(other, second)}", other


def mean_features(encoder: TextEncoder, captions: list[str]) -> torch.Tensor:
    """What the backbone pools: the mean of each caption's features."""
    features, lengths = encoder(captions)
    return torch.stack([part.mean(dim=0) for part in features.split(lengths)])


def mean_words(encoder: TextEncoder, captions: list[str]) -> torch.Tensor:
    """The mean of each caption's word vectors, which knows nothing of their order."""
    tokens = [encoder.tokenizer(text, return_tensors="pt").input_ids[0] for text in captions]
    return torch.stack([encoder.model.embed_tokens(ids).mean(dim=0) for ids in tokens])


@torch.no_grad()
def probe_accuracy(encoder: TextEncoder, describe) -> float:
    """Share of unseen combinations whose second colour a linear probe reads off."""

    def data(count: int, *, of_test: bool):
        generator = torch.Generator().manual_seed(int(of_test))
        drawn = [draw(generator, of_test=of_test) for _ in range(count)]
        features = describe(encoder, [caption for caption, _ in drawn]).double()
        return features, torch.tensor([colour for _, colour in drawn])

    features, colours = data(NUM_TRAINING, of_test=False)
    mean, scale = features.mean(dim=0), features.square().mean().sqrt()

    def inputs(rows):
        return functional.pad((rows - mean) / scale, (0, 1), value=1.0)

    x, y = inputs(features), functional.one_hot(colours, len(COLOURS)).double()
    ridge = RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
    unseen, wanted = data(NUM_TEST, of_test=True)
    found = (inputs(unseen) @ weights).argmax(dim=1)
    return (found == wanted).double().mean().item()


def test_features_tell_which_colour_is_whose(encoder):
    assert probe_accuracy(encoder, mean_features) >= MIN_ACCURACY


def test_words_alone_do_not_tell_which_colour_is_whose(encoder):
    assert probe_accuracy(encoder, mean_words) < MAX_WITHOUT_ORDER
