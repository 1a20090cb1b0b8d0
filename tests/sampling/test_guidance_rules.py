"""Rules of guidance act on each sample by itself, and as the loops of diffusers' pipelines do.

The network is a formula that acts on each element alone.
"""

import shutil
from dataclasses import replace

import pytest
import torch
from formula_backbone import TEXTS, formula, with_formula

from checkpoint_edits import edit_manifest
from lumina_core import LuminaError, load
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.flow.settings import GuidanceConfig, SolverConfig
from lumina_core.flow.solver import integrate
from lumina_core.records import told, untold
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import batches, in_turn
from lumina_core.sampling.settings import Sampling
from lumina_core.sampling.velocity import GuidedVelocity
from lumina_core.text.settings import Negative

NUM_STEPS, SHIFT = 6, 6.0


@pytest.fixture
def model(tiny_model, monkeypatch):
    return with_formula(tiny_model, monkeypatch)


def request(prompt="a ring", height=32, width=48, seed=3):
    options = replace(compose_options("image"), height=height, width=width)
    return Request(prompt, "", seed, options)


def sampling(solver="euler", **guidance):
    return replace(
        compose_sampling("image"),
        solver=SolverConfig(solver, num_steps=NUM_STEPS, shift=SHIFT),
        guidance=GuidanceConfig(**guidance),
    )


def made(model, requests, asked):
    velocity = GuidedVelocity(model, requests, asked)
    state = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
    return velocity, velocity.latents(state)


class Transformer(torch.nn.Module):
    """What a pipeline of diffusers takes for its transformer: the formula."""

    dtype, device, in_channels = torch.float32, torch.device("cpu"), 4

    def __init__(self):
        super().__init__()
        self.config = type("Config", (), {"in_channels": self.in_channels, "sample_size": 8})()

    def forward(self, hidden_states, timestep, encoder_hidden_states, **_):
        if torch.is_tensor(hidden_states):  # Lumina2Pipeline
            return (formula(hidden_states, timestep[0], encoder_hidden_states.mean()),)
        rows = zip(hidden_states, timestep, encoder_hidden_states, strict=True)
        return ([formula(x, 1000 * t, text.mean()) for x, t, text in rows],)


def pipeline(name):
    import diffusers

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    parts = {"transformer": Transformer(), "scheduler": scheduler}
    made = getattr(diffusers, name)(**parts, vae=None, text_encoder=None, tokenizer=None)
    made.set_progress_bar_config(disable=True)
    return made


def asked_of_pipeline(model):
    """The noise of our request, as the pipelines take it."""
    velocity = GuidedVelocity(model, [request()], sampling())
    noise = velocity.latents(velocity.x_0)[0][:, 0]
    size = {"height": 8 * noise.shape[1], "width": 8 * noise.shape[2]}
    common = {"num_inference_steps": NUM_STEPS, "output_type": "latent", **size}
    return {"latents": noise[None].clone(), **common}


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize(("share", "is_normal"), [(1.0, True), (0.25, False), (0.5, True)])
def test_rows_and_steps_are_those_of_lumina2_pipeline(model, scale, share, is_normal):
    texts = [torch.full((1, 2, 3), TEXTS[text]) for text in ("a ring", "")]
    mask = torch.ones(1, 2, dtype=torch.long)
    wanted = pipeline("Lumina2Pipeline")(
        prompt_embeds=texts[0],
        negative_prompt_embeds=texts[1],
        prompt_attention_mask=mask,
        negative_prompt_attention_mask=mask,
        guidance_scale=scale,
        cfg_trunc_ratio=share,
        cfg_normalization=is_normal,
        **asked_of_pipeline(model),
    ).images
    renormalise = "row" if is_normal else "none"
    asked = sampling(scale=scale, share_of_steps=share, renormalise=renormalise)
    velocity, found = made(model, [request()], asked)
    assert wanted.std() > 0.1
    torch.testing.assert_close(found[0][:, 0], wanted[0], atol=1e-5, rtol=0)
    assert velocity.num_evaluations == NUM_STEPS + (scale != 1) * int(NUM_STEPS * share)


@pytest.mark.parametrize(
    ("scale", "until", "limit"),
    [(3.0, 1.0, None), (3.0, 0.3, 1.0), (5.0, 0.3, 0.7), (0.0, 1.0, None)],
)
def test_scale_limit_and_time_are_those_of_z_image_pipeline(
    tiny_model, monkeypatch, scale, until, limit
):
    model = with_formula(tiny_model, monkeypatch, time_scale=1000.0)
    wanted = pipeline("ZImagePipeline")(
        prompt_embeds=[torch.full((2, 3), TEXTS["a ring"])],
        negative_prompt_embeds=[torch.full((2, 3), TEXTS[""])],
        guidance_scale=scale,
        cfg_truncation=until,
        cfg_normalization=limit or False,
        **asked_of_pipeline(model),
    ).images
    rules = {"renormalise": "sample", "norm_limit": limit} if limit else {}
    asked = sampling(scale=scale, rule="added", interval=(0.0, float(until)), **rules)
    velocity, found = made(model, [request()], asked)
    assert wanted.std() > 0.1
    torch.testing.assert_close(found[0][:, 0], wanted[0], atol=1e-5, rtol=0)
    assert (velocity.num_evaluations > NUM_STEPS) == (scale > 0)


@pytest.mark.parametrize("rule", ["row", "sample"])
def test_samples_of_a_batch_are_renormalised_each_by_itself(model, rule):
    asked = sampling(scale=4.0, renormalise=rule, norm_limit=0.2)
    mixed = [request(), request("a star", 64, 32, 4), request("a star", seed=5)]
    together = made(model, mixed, asked)[1]
    plain = made(model, mixed, sampling(scale=4.0))[1]
    for number, each in enumerate(mixed):
        torch.testing.assert_close(together[number], made(model, [each], asked)[1][0])
        assert not torch.allclose(together[number], plain[number], atol=1e-2)


def test_a_share_of_the_steps_ends_for_solvers_of_several_stages(model):
    for solver, stages in (("midpoint", 2), ("heun", 2), ("rk4", 4)):
        asked = sampling(solver, scale=4.0, share_of_steps=0.5)
        late = {"heun": 1, "rk4": 1}.get(solver, 0)  # the end of the last guided step
        velocity, _ = made(model, [request()], asked)
        assert velocity.num_evaluations == stages * (NUM_STEPS + NUM_STEPS // 2) - late


def test_a_share_of_the_steps_is_refused_where_there_are_none():
    words = ["modality=image", "prompt=a ring", "solver=dopri5"]
    with pytest.raises(LuminaError, match=r"guidance\.share_of_steps=0\.5 counts steps"):
        compose_run([*words, "guidance.share_of_steps=0.5"])


def test_a_limit_without_its_rule_is_refused():
    words = ["modality=image", "prompt=a ring", "guidance.norm_limit=2"]
    with pytest.raises(LuminaError, match=r"no effect with guidance\.renormalise=none"):
        compose_run(words)
    assert compose_run([*words, "guidance.renormalise=sample"]).guidance.norm_limit == 2


@pytest.mark.parametrize(
    "off", [{"scale": 1.0}, {"scale": 0.0, "rule": "added"}, {"share_of_steps": 0.0}]
)
def test_without_guidance_the_negative_prompt_is_never_read(model, off, monkeypatch):
    asked = sampling(**off)
    velocity, _ = made(model, [request()], asked)
    assert model.backbone.num_texts == [1]
    assert velocity.num_evaluations == NUM_STEPS
    on_gpu = replace(asked, token_budget=10**6)
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert len(batches(model, [request()] * 2, on_gpu)) == 1


def test_texts_ahead_are_those_that_guidance_needs(model):
    from lumina_core.text.frozen import FrozenTextEncoder

    class Recording(FrozenTextEncoder):
        def __init__(self):
            self.texts, self.tokenizer = [], None

        def encode_ahead(self, texts, *, cache=None):
            self.texts += texts

    def read(**guidance):
        encoder = Recording()
        given = replace(model, text_encoder=encoder)
        list(in_turn(given, [[request()]], GuidanceConfig(**guidance)))
        return encoder.texts

    assert read(scale=0.0, rule="added") == ["a ring"]
    assert read(scale=0.0) == ["a ring", Negative("", "a ring")]


def test_a_request_says_nothing_of_rules_that_are_off():
    default = told(Sampling())["guidance"]
    assert default == {"scale": 4.0, "interval": (0.0, 1.0), "channels": None}
    changed = replace(Sampling(), guidance=GuidanceConfig(rule="added", share_of_steps=0.5))
    assert told(changed)["guidance"] == {**default, "rule": "added", "share_of_steps": 0.5}
    assert untold(Sampling)["guidance"]["rule"] == "plain"


def test_a_repeated_file_keeps_its_rules_whatever_the_checkpoint_recommends(
    work, at_checkpoint, tiny_checkpoint
):
    advised = shutil.copytree(tiny_checkpoint, work / "advised")
    edit_manifest(advised, sampling={"guidance": {"rule": "added", "scale": 2.0}})
    small = ["modality.height=32", "modality.width=32", "solver.num_steps=1", "guidance.scale=2"]
    assert main(["run", *at_checkpoint, *small, "a ring", "out=a.png"]) == 0
    other = f"checkpoint={advised}"
    assert compose_run(["modality=image", other, "prompt=a ring"]).guidance.rule == "added"
    assert compose_run(["repeat=a.png", other]).guidance.rule == "plain"
    (item,) = load(tiny_checkpoint).generate(repeat="a.png")
    assert item.settings["guidance.rule"] == "plain"
    assert "guidance.norm_limit" not in item.settings
