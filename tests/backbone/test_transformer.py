"""The backbone: its size, its independence of batch mates, and what its inputs reach."""

from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
import torch

from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.settings import NO_SCALING, BackboneConfig, RopeScaling
from lumina_core.backbone.transformer import Backbone
from lumina_core.config.values import compose_choice
from lumina_core.errors import LuminaError
from lumina_core.records import build
from lumina_core.sequence import Grid, TokenSample, pack, unpack
from lumina_core.training.compose import TRAIN

TOKEN_DIMS = {"image": 16, "video": 12}
TEXT_DIM = 24
VARIANTS = {
    "released": {},
    "axial": {"rope": "axial", "rope_dims": (4, 2, 2)},
    "axial without separators": {"rope": "axial", "rope_dims": (0, 4, 4), "separators": False},
    "grouped keys": {"num_kv_heads": 2},
    "one key head": {"num_kv_heads": 1, "separators": False},
    "no qk_norm": {"qk_norm": False},
    "no sigma": {"learn_sigma": False},
    "wider": {"ffn_dim_multiplier": 1.7, "conditioning_size": 20},
    "sandwich": {"sandwich": True, "final_shift": False},
    "joint text": {
        "text": "joint",
        "rope": "concatenated",
        "rope_dims": (4, 2, 2),
        "separators": False,
        "sandwich": True,
        "refiners": 1,
        "head_norm": True,
        "initial_gate": 0.5,
    },
    "joint text with pads": {
        "text": "joint",
        "rope": "concatenated",
        "rope_dims": (4, 2, 2),
        "separators": False,
        "refiners": 2,
        "pad_multiple": 8,
        "text_start": 1,
        "time_scale": 100.0,
        "time_size": 12,
        "modulation_silu": False,
        "initial_gate": 0.5,
    },
    "rows and columns in turn": {"rope": "alternating", "separators": False},
    "patch of one cell": {"token_dims": {"image": 4, "video": 3}},
}


def config(**changes):
    values = {
        "token_dims": TOKEN_DIMS,
        "hidden_size": 32,
        "depth": 2,
        "num_heads": 4,
        "num_kv_heads": None,
        "text_dim": TEXT_DIM,
        "conditioning_size": None,
        "multiple_of": 8,
        "ffn_dim_multiplier": None,
        "norm_eps": 1e-5,
        "qk_norm": True,
        "learn_sigma": True,
        "separators": True,
        "rope": "sequence",
        "rope_theta": 10_000.0,
        "rope_dims": None,
        "initial_gate": 0.0,
    }
    return BackboneConfig(**{**values, **changes})


def random_model(**changes):
    """No weight is zero, so that everything that can reach the output does.

    In float64, but for RoPE and the sinusoid: rounding is far below what a mistake does.
    """
    model = Backbone(config(**changes)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scale = "norm" in name and name.endswith("weight")
            parameter.normal_(float(is_scale), 0.3, generator=generator)
    return model


def sample(frames, rows, columns, modality="image", token_dims=TOKEN_DIMS, segments=None):
    grid = Grid(frames, rows, columns, step=(0.5, 1 / rows, 1 / columns))
    generator = torch.Generator().manual_seed(rows * 100 + columns)
    tokens = torch.randn(grid.num_patches, token_dims[modality], generator=generator)
    return TokenSample(modality, grid, tokens, segments)


def mixed_samples(token_dims=TOKEN_DIMS):
    return [
        sample(1, 3, 4, "image", token_dims),
        sample(1, 2, 2, "image", token_dims),
        sample(1, 4, 3, "image", token_dims),
        sample(3, 2, 2, "video", token_dims),
        sample(2, 1, 3, "video", token_dims),
    ]


def texts(*lengths):
    return torch.randn(sum(lengths), TEXT_DIM, generator=torch.Generator().manual_seed(7))


def evaluate(model, samples, text, lengths, time, **arguments):
    batch = pack(samples, separators=model.config.separators)
    context = model.prepare(batch, text, lengths, **arguments)
    return model(batch, torch.tensor(time), context)


def initialise_by_name(model):
    """The released values as they were found by parts of names, which fit names without others."""
    zero = ("modulation", "outputs.", "pooled_linear", "features.")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("gate"):
                weight.fill_(model.config.initial_gate)
            elif any(part in name for part in zero) or name.endswith("bias"):
                weight.zero_()
            elif "norm" in name:
                weight.fill_(1)
            elif weight.ndim == 1 or name.startswith("time_embedding") or name.endswith("_pad"):
                torch.nn.init.normal_(weight, std=0.02)
            else:
                torch.nn.init.xavier_uniform_(weight)


def fresh(seed=0, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Backbone(config(**changes)).state_dict()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_seed_draws_the_weights_that_it_always_drew(changes, monkeypatch):
    changes = {"feature_dims": {"video": 5}, "initial_gate": 0.5, **changes}
    found = fresh(**changes)
    monkeypatch.setattr(Backbone, "initialise", initialise_by_name)
    wanted = fresh(**changes)
    assert found.keys() == wanted.keys()
    for name, weight in found.items():
        assert torch.equal(weight, wanted[name]), name


# names of parts of the network, and of methods of its containers
ODD_NAMES = ["normals", "norm", "gate", "bias", "modulation", "features", "outputs", "inputs"]
ODD_NAMES += ["time_embedding", "attention", "blocks", "values", "keys", "train", "type"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_modality_may_be_called_like_anything(name):
    plain, odd = (fresh(token_dims={own: 16}, feature_dims={own: 5}) for own in ("image", name))
    renamed = {key.replace(".image.", f".{name}."): value for key, value in plain.items()}
    assert renamed.keys() == odd.keys()
    for key, weight in odd.items():
        assert torch.equal(weight, renamed[key]), key
    dims = {name: 16}
    model = random_model(token_dims=dims)
    velocity = evaluate(model, [sample(1, 2, 3, name, dims)], texts(3), (3,), [0.5])
    assert velocity.shape == (6 * 16,)
    again = Backbone(config(token_dims=dims)).double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(
        velocity, evaluate(again, [sample(1, 2, 3, name, dims)], texts(3), (3,), [0.5])
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("600m", 814_459_936), ("5b", 5_046_643_744), ("7b", 8_371_142_688)],
)
def test_parameter_count_is_the_released_one(name, expected):
    values = compose_choice("backbone", TRAIN.groups["backbone"], name)
    with torch.device("meta"):
        model = Backbone(build(BackboneConfig, {**values, "token_dims": {"image": 16}}))
    pad_token, nextframe = model.config.hidden_size, model.nextframe.numel()
    count = sum(parameter.numel() for parameter in model.parameters())
    assert model.config.text_dim == 4096
    assert count + pad_token - nextframe == expected


@pytest.mark.parametrize(
    ("name", "token_dim", "expected"),
    [
        ("next_dit", 16, 1_627_384_096),
        ("lumina_image_2", 64, 2_609_769_152),
        ("z_image", 64, 6_154_908_736),
    ],
)
def test_a_family_of_the_released_size_is_a_choice(name, token_dim, expected):
    values = compose_choice("backbone", TRAIN.groups["backbone"], name)
    with torch.device("meta"):
        model = Backbone(build(BackboneConfig, {**values, "token_dims": {"image": token_dim}}))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    for switch, value in FAMILIES[name].switches.items():
        assert getattr(model.config, switch) == value or switch == "qk_norm_eps", switch


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_fresh_model_predicts_zero(changes):
    model = Backbone(config(**changes))
    samples = mixed_samples(model.config.token_dims)
    out = evaluate(model, samples, texts(3, 1, 4, 1, 5), (3, 1, 4, 1, 5), [0.3] * 5)
    assert torch.equal(out, torch.zeros_like(out))


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"scaling": RopeScaling(2.0, 3.0, watershed=0.4), "proportional_base": 8}],
    ids=["plain", "extrapolated"],
)
@torch.no_grad()
def test_batch_mates_leave_velocity_unchanged(changes, arguments):
    model = random_model(**changes)
    samples, lengths = mixed_samples(model.config.token_dims), (3, 1, 4, 1, 5)
    time = [0.1, 0.9, 0.3, 0.6, 0.4]
    text = texts(*lengths)
    packed = evaluate(model, samples, text, lengths, time, **arguments)
    assert packed.std() > 0.1
    sizes = [item.tokens.numel() for item in samples]
    parts = zip(samples, text.split(lengths), time, packed.split(sizes), strict=True)
    for item, own_text, t, velocity in parts:
        alone = evaluate(model, [item], own_text, [len(own_text)], [t], **arguments)
        torch.testing.assert_close(velocity, alone, atol=2e-6, rtol=2e-6)


def test_batch_of_two_modalities_trains_every_weight():
    model = random_model(learn_sigma=False)
    samples, lengths = mixed_samples(), (3, 1, 4, 1, 5)
    target = torch.randn(sum(s.tokens.numel() for s in samples))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        out = evaluate(model, samples, texts(*lengths), lengths, [0.5] * 5)
        loss = (out - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    for name, parameter in model.named_parameters():
        if "text_k_norm.bias" not in name:  # adds one number to all scores of a query: no effect
            assert parameter.grad.abs().max() > 1e-6, name


def test_gradients_are_the_same_every_time():
    model = random_model(learn_sigma=False).float()
    samples, lengths = [sample(1, 48, 48), sample(2, 24, 24, "video")], (3, 2)
    gradients = []
    for _ in range(6):
        model.zero_grad()
        evaluate(model, samples, texts(*lengths), lengths, [0.3, 0.6]).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for again in gradients[1:]:
        assert all(map(torch.equal, gradients[0], again))


def test_sigma_half_gets_no_gradient():
    model = random_model()
    evaluate(model, [sample(1, 2, 2)], texts(2), [2], [0.5]).square().sum().backward()
    velocity, sigma = model.outputs["image"].weight.grad.split(16)
    assert velocity.abs().min() > 0
    assert torch.equal(sigma, torch.zeros_like(sigma))


def test_one_frame_never_reads_nextframe():
    model = random_model()
    evaluate(model, [sample(1, 2, 2)], texts(2), [2], [0.5]).square().sum().backward()
    assert model.nextline.grad.abs().max() > 1e-3
    assert torch.equal(model.nextframe.grad, torch.zeros_like(model.nextframe))


@torch.no_grad()
def test_context_serves_every_time_and_state():
    model = random_model()
    samples, lengths = mixed_samples(), (3, 1, 4, 1, 5)
    batch = pack(samples, separators=True)
    arguments = {"scaling": RopeScaling(2.0, 3.0, watershed=0.4), "proportional_base": 8}
    context = model.prepare(batch, texts(*lengths), lengths, **arguments)
    for t in (0.0, 0.4, 1.0):
        moved = batch.with_state(batch.state * (1 - t))
        again = model.prepare(moved, texts(*lengths), lengths, **arguments)
        time = torch.full((5,), t)
        assert torch.equal(model(moved, time, context), model(moved, time, again))


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"rope": "axial", "rope_dims": (4, 2, 2)}])
def test_segments_of_equal_times_are_one_segment(changes):
    model = random_model(**changes)
    whole = sample(2, 2, 2, "video")
    halves = replace(whole, segments=torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    one = evaluate(model, [whole], texts(3), [3], [0.4])
    two = evaluate(model, [halves], texts(3), [3], [0.4, 0.4])
    torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_time_of_a_segment_reaches_its_sample_and_no_other():
    model = random_model()
    halves = sample(2, 2, 2, "video", segments=torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    mates = [sample(1, 2, 2), halves]
    before = evaluate(model, mates, texts(2, 3), [2, 3], [0.5, 0.4, 0.4])
    after = evaluate(model, mates, texts(2, 3), [2, 3], [0.5, 0.4, 1.0])
    changed = (after - before).abs()
    mate, first, second = changed.split([4 * 16, 4 * 12, 4 * 12])
    assert mate.max() == 0
    assert first.max() > 1e-3  # through attention
    assert second.max() > 1e-3


@torch.no_grad()
def test_features_act_on_their_frames_and_modality_alone():
    model = random_model(feature_dims={"video": 2})
    plain = [sample(1, 3, 4), sample(3, 2, 2, "video")]
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    told = [plain[0], replace(plain[1], features=features)]
    assert pack(told, separators=True).num_segments == 3  # the first two frames are alike
    silent = [plain[0], replace(plain[1], features=torch.zeros(3, 2))]
    lengths = (2, 3)
    out, still = (
        evaluate(model, samples, texts(*lengths), lengths, [0.5] * count)
        for samples, count in ((told, 3), (silent, 2))
    )
    parts, stills = (unpack(pack(told, separators=True).with_state(x)) for x in (out, still))
    assert torch.allclose(parts[0], stills[0])
    assert (parts[1] - stills[1]).abs().max() > 1e-3
    fresh = Backbone(config(feature_dims={"video": 2}))
    assert fresh.features["video"].weight.count_nonzero() == 0


def test_features_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="one row per frame"):
        pack([replace(sample(3, 2, 2, "video"), features=torch.zeros(2, 2))], separators=True)


def test_proportional_attention_is_neutral_at_its_base():
    model = random_model()
    item = sample(1, 3, 4)
    length = item.grid.num_positions(separators=True)
    plain = evaluate(model, [item], texts(3), [3], [0.4])
    neutral = evaluate(model, [item], texts(3), [3], [0.4], proportional_base=length)
    other = evaluate(model, [item], texts(3), [3], [0.4], proportional_base=length // 3)
    torch.testing.assert_close(neutral, plain, atol=2e-6, rtol=2e-6)
    assert (other - plain).abs().max() > 1e-3


@torch.no_grad()
def test_text_changes_the_velocity_of_its_sample_only():
    model = random_model()
    samples = [sample(1, 2, 2), sample(1, 2, 2)]
    first, second = evaluate(model, samples, texts(2, 3), [2, 3], [0.5, 0.5]).split(64)
    assert (first - second).abs().max() > 1e-3
    other = texts(2, 3)
    other[2:] += 1
    first_again, second_again = evaluate(model, samples, other, [2, 3], [0.5, 0.5]).split(64)
    assert torch.equal(first_again, first)
    assert (second_again - second).abs().max() > 1e-3


@torch.no_grad()
def test_gate_of_zero_closes_cross_attention():
    model = random_model()
    for block in model.blocks:
        block.attention.gate.zero_()
    model.pooled_linear.weight.zero_()
    item = sample(1, 2, 2)
    one = evaluate(model, [item], texts(2), [2], [0.5])
    two = evaluate(model, [item], texts(2) + 1, [2], [0.5])
    assert torch.equal(one, two)


@torch.no_grad()
def test_pooled_text_is_the_mean_over_its_own_tokens():
    model = random_model()
    lengths = (3, 1, 4)
    samples = [sample(1, 1, 1)] * 3
    context = model.prepare(pack(samples, separators=True), texts(*lengths), lengths)
    ends = list(accumulate(lengths, initial=0))
    for number, (start, end) in enumerate(pairwise(ends)):
        mean = texts(*lengths)[start:end].double().mean(dim=0)
        pooled = model.pooled_linear(model.pooled_norm(mean))
        torch.testing.assert_close(context.pooled[number], pooled)


@torch.no_grad()
def test_no_scaling_is_the_default():
    model = random_model()
    item = sample(1, 2, 3)
    default = evaluate(model, [item], texts(2), [2], [0.5])
    assert torch.equal(default, evaluate(model, [item], texts(2), [2], [0.5], scaling=NO_SCALING))


@pytest.mark.parametrize("lengths", [(3,), (5, 0), (1, 2, 2)])
def test_prepare_refuses_texts_that_do_not_match_the_samples(lengths):
    model = random_model()
    batch = pack([sample(1, 2, 2), sample(1, 1, 1)], separators=True)
    with pytest.raises(ValueError, match="one text per sample"):
        model.prepare(batch, texts(5), lengths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 30}, "backbone.hidden_size=30 over backbone.num_heads=4"),
        ({"hidden_size": 36}, "backbone.hidden_size=36 over backbone.num_heads=4"),
        ({"num_kv_heads": 3}, "backbone.num_heads=4 .* backbone.num_kv_heads=3"),
        ({"rope": "axail"}, "backbone.rope is 'axail'; .* sequence, axial.* 'axial'"),
        ({"rope": "axial"}, "backbone.rope_dims=None"),
        ({"rope": "axial", "rope_dims": (4, 4)}, r"backbone.rope_dims=\(4, 4\)"),
        ({"rope": "axial", "rope_dims": (2, 3, 3)}, r"backbone.rope_dims=\(2, 3, 3\)"),
        ({"rope": "axial", "rope_dims": (4, 4, 4)}, r"backbone.rope_dims=\(4, 4, 4\) .* 8"),
    ],
)
def test_config_refuses_what_does_not_fit_and_names_the_key(changes, message):
    with pytest.raises(LuminaError, match=message):
        config(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 88), ({"multiple_of": 256}, 256), ({"ffn_dim_multiplier": 1.5}, 128)],
)
def test_ffn_dim_is_two_thirds_of_four_widths_rounded_up(changes, expected):
    assert config(**changes).ffn_dim == expected  # int(8 * 32 / 3) = 85, int(1.5 * 85) = 127
