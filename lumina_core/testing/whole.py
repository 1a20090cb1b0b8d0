"""Rules about the parts together: training, generating, repeating, conditions, data from files."""

import dataclasses
import json
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from lumina_core import host
from lumina_core.backbone.flag_dit import FlagDiT
from lumina_core.cli import main
from lumina_core.config import compose_sampling
from lumina_core.data.pool import encode_sample
from lumina_core.errors import LuminaError
from lumina_core.flow.solver import SolverConfig
from lumina_core.modality import Given, SizeLimits, feature_dims
from lumina_core.runtime import seeded
from lumina_core.sampling import Request, sample
from lumina_core.sequence import TokenSample, pack, unpack
from lumina_core.testing.contract import (
    BrokenRuleError,
    NotApplicableError,
    demand,
    rule,
)
from lumina_core.testing.subject import Sample, Subject, subject_of

TOLERANCE = 1e-4  # of a velocity in float32 beside other samples
NUM_STEPS = 2
SEEDS = (1, 2, 3)
RUN_SEED = 7  # not the usual one
TEXT_DIM = 16


@rule
def trains_a_step(subject: Subject) -> None:
    """A tiny backbone trains on the world for two steps, and every projection of it learns."""
    run = subject.trained
    demand(run.num_skipped == 0, "a loss was not finite", "encode finite latents")
    weights = run.networks["backbone"].state_dict()
    for name in ("inputs", "outputs"):
        found = [
            value for key, value in weights.items() if key.startswith(f"{name}.{subject.name}")
        ]
        demand(
            found and all(bool(value.isfinite().all()) for value in found),
            f"the {name} of {subject.name} are missing or not finite",
            "keep token_dim the same at every size",
        )
    items = _tokens(subject)
    backbone = _backbone(
        {subject.name: items[0].tokens.shape[1]}, feature_dims(subject.name, subject.modality)
    )
    backbone.train().requires_grad_(True)
    torch.cat([one.flatten() for one in _velocity(backbone, items)]).square().mean().backward()
    for key, value in backbone.named_parameters():
        demand(
            f".{subject.name}." not in key or (value.grad is not None and value.grad.any()),
            f"{key} does not learn: its gradient is zero",
            "give tokens and features that are not always zero",
        )


@rule
def batch_mates_do_not_matter(subject: Subject) -> None:
    """In a packed batch with others a sample gets the velocity that it gets alone."""
    items = _tokens(subject)
    backbone = _backbone(
        {subject.name: items[0].tokens.shape[1]}, feature_dims(subject.name, subject.modality)
    )
    together = _velocity(backbone, items)
    for one, item, found in zip(subject.samples, items, together, strict=True):
        parts = subject.new_modality()  # which have seen no other
        own = encode_sample(subject.name, parts, one.media, one.options, one.caption).tokens
        (alone,) = _velocity(backbone, [own])
        difference = (alone - found).abs().max().item()
        demand(
            difference <= TOLERANCE,
            f"beside others the velocity of {item.grid} differs by {difference:.1e}",
            "let tokens and features depend on their own sample alone",
        )


@rule
def trains_beside_other_modalities(subject: Subject) -> None:
    """In one batch with samples of every other installed modality it trains a step."""
    items = _tokens(subject)[:2]
    dims = {subject.name: items[0].tokens.shape[1]}
    features = feature_dims(subject.name, subject.modality)
    for name in host.installed():
        if name == subject.name:
            continue
        try:
            with subject_of(name) as other:
                more = _tokens(other)[:1]
                features |= feature_dims(name, other.modality)
        except (Exception, SystemExit):  # its own contract will tell; here it is a neighbour
            continue
        dims[name] = more[0].tokens.shape[1]
        items += more
    backbone = _backbone(dims, features).train().requires_grad_(True)
    loss = torch.stack([one.square().mean() for one in _velocity(backbone, items)]).sum()
    loss.backward()
    gradients = {
        key: value.grad for key, value in backbone.named_parameters() if f".{subject.name}." in key
    }
    demand(
        loss.isfinite() and gradients,
        f"the loss beside {', '.join(dims)} is {loss.item()}",
        "give finite tokens, and features of feature_dim numbers",
    )
    demand(
        all(grad is None or bool(grad.isfinite().all()) for grad in gradients.values()),
        "a gradient is not finite",
        "encode finite latents",
    )


@rule
def seed_decides_what_is_made(subject: Subject) -> None:
    """The same request gives the same media, another seed others, and no other sample matters."""
    one = subject.samples[0]
    requests = [Request(one.caption, "", seed, one.options) for seed in SEEDS]
    sampling = replace(
        compose_sampling(subject.name), solver=SolverConfig("euler", NUM_STEPS, 1.0, 1e-5, 1e-5)
    )
    made = [item.media for item in sample(subject.model, requests, sampling)]
    again = [
        item.media
        for request in reversed(requests)
        for item in sample(subject.new_model(), [request], sampling)
    ]
    demand(
        all(torch.equal(a, b) for a, b in zip(made, reversed(again), strict=True)),
        "the same request gives two media",
        "keep no state",
    )
    demand(not torch.equal(made[0], made[1]), "another seed gives the same media", "use the latent")


@rule
def files_tell_how_to_make_them_again(subject: Subject) -> None:
    """`run` makes a file, `info` reads its request, and `run repeat=FILE` makes the same media."""
    folder = subject.new_folder()
    words = [f"checkpoint={subject.checkpoint}", "device=cpu", f"solver.num_steps={NUM_STEPS}"]
    one = subject.samples[0]
    suffix = next((kind for kind, _ in subject.kinds()), subject.modality.decoder.suffixes[0])
    changed = [
        f"modality.{field.name}={json.dumps(_plain(getattr(one.options, field.name)))}"
        for field in dataclasses.fields(one.options)
        if getattr(one.options, field.name) != getattr(subject.options, field.name)
    ]
    first = _run(
        subject, folder / f"first{suffix}", one.caption, f"seed={RUN_SEED}", *words, *changed
    )
    found = _printed("info", first["path"], "--json")
    demand(
        json.loads(found).get("prompt") == one.caption,
        "info does not find the prompt in the file",
        "write the metadata that write() is given into the file",
    )
    again = _run(
        subject, folder / f"again{suffix}", None, words[0], "device=cpu", f"repeat={first['path']}"
    )
    demand(
        again["media_sha256"] == first["media_sha256"],
        "repeat= makes other media",
        "decode deterministically, and let options come back from JSON as they went in",
    )


@rule
def condition_takes_a_file(subject: Subject) -> None:
    """What may be given beside the prompt is null in the YAML, and a given file fixes cells of the
    latent of the media to make.
    """
    record: Any = host.condition_class(subject.name)
    if record is None:
        raise NotApplicableError("nothing may be given beside its prompt")
    names = [f.name for f in dataclasses.fields(record) if f.metadata.get("file")]
    demand(names, "no field of the condition names a file", 'mark it metadata={"file": True}')
    one, given = _given(subject, record, names[0])
    wanted = tuple(subject.modality.media_shape(one.options))
    demand(
        tuple(given.media.shape) == wanted,
        f"given media are {tuple(given.media.shape)}, {wanted} are to be made",
        "fill what is not given with something likely",
    )
    demand(
        given.known.dtype == torch.bool and tuple(given.known.shape) == tuple(one.latent.shape[1:]),
        f"known is {given.known.dtype} {tuple(given.known.shape)}",
        f"give one boolean for each of {tuple(one.latent.shape[1:])} cells",
    )
    demand(bool(given.known.any()), "nothing of a whole given file is known", "mark its cells")


def _given(subject: Subject, record: Any, name: str) -> tuple[Sample, Given]:
    """A sample and what is given by a file of it, of the first kind that may be given whole."""
    modality: Any = subject.modality
    empty = dict.fromkeys((field.name for field in dataclasses.fields(record)), None)
    refusals = []
    for suffix, one in subject.kinds():
        path = subject.written(suffix, one)
        try:
            return one, modality.condition(record(**empty | {name: str(path)}), one.options)
        except LuminaError as error:
            refusals.append(f"{suffix}: {error}")
    raise BrokenRuleError(
        f"condition.{name} takes none of its own files ({refusals[0]}); take what `run` writes"
    )


@rule
def files_fit_the_limits_of_a_run(subject: Subject) -> None:
    """`fit` brings media from a file to a legal size within the limits, and refuses what is too
    small.
    """
    modality = subject.modality
    largest = max(subject.samples, key=lambda one: one.grid.num_patches)
    count = largest.grid.num_patches
    for max_tokens in (count, max(count // 2, 1), 10 * count):
        limits = SizeLimits(1, max_tokens, 100.0)
        try:
            media = modality.fit(largest.media, limits)
        except LuminaError as error:
            demand(
                max_tokens < count and "\n" not in str(error),
                f"media of {count} tokens do not fit into {max_tokens}: {error}",
                "accept what is within the limits",
            )
            continue
        encoded = modality.vae.encode(media)
        channels, frames, height, width = encoded.shape
        grid = modality.tokenizer.grid((channels, frames, height, width))
        demand(
            grid.num_patches <= max_tokens,
            f"media fitted to {max_tokens} tokens have {grid.num_patches}",
            "make them smaller, or refuse them",
        )
        demand(
            max_tokens < count or grid == largest.grid,
            f"media of {largest.grid} within the limits become {grid}",
            "leave media alone that are legal and within the limits",
        )
    _fits_what_is_cut(subject, largest)
    try:
        modality.fit(largest.media, SizeLimits(count + 1, 10 * count, 100.0))
    except LuminaError:
        return
    demand(False, "media below min_tokens are accepted", "refuse them by a LuminaError")


def _fits_what_is_cut(subject: Subject, largest: Sample) -> None:
    """Media that are shorter by one along an axis, as files are, become legal or are refused."""
    modality, count = subject.modality, largest.grid.num_patches
    shapes = zip(*(one.media.shape for one in subject.samples), strict=True)
    for axis, sizes in enumerate(shapes):
        size = largest.media.shape[axis] - 1
        if len(set(sizes)) == 1 or size < 1:
            continue
        with suppress(LuminaError):
            media = modality.fit(largest.media.narrow(axis, 0, size), SizeLimits(1, count, 100.0))
            try:
                channels, frames, height, width = modality.vae.encode(media).shape
                modality.tokenizer.grid((channels, frames, height, width))
            except (LuminaError, ValueError) as error:
                raise BrokenRuleError(
                    f"media shorter by one along axis {axis} are fitted to {tuple(media.shape)}: "
                    f"{error}; bring them to a whole number of tokens"
                ) from error


@rule
def trains_on_files(subject: Subject) -> None:
    """Files that were written are read as training data: the request's options tell their grid."""
    first = subject.kinds()[0][0]
    for suffix, one in subject.kinds(every=True):
        if suffix == first:
            _trains_on_a_file(subject, suffix, one)


def _trains_on_a_file(subject: Subject, suffix: str, one: Sample) -> None:
    modality: Any = subject.modality
    path = subject.written(suffix, one)
    media = (
        modality.read(path, one.options)
        if hasattr(modality, "read")
        else modality.decoder.read(path)
    )
    options = one.options
    if hasattr(modality, "described"):
        options = modality.described(path, media, options)
    found = encode_sample(subject.name, modality, media, options, one.caption)
    demand(
        found.tokens.grid == one.grid,
        f"a file of {one.grid} is trained on as {found.tokens.grid}",
        "read what was written",
    )


def _tokens(subject: Subject) -> list[TokenSample]:
    return [one.tokens for one in subject.captioned()]


def _backbone(token_dims: dict[str, int], features: dict[str, int]) -> FlagDiT:
    """A tiny backbone whose every weight matters: none is left at zero."""
    from lumina_core.backbone.flag_dit import FlagDiTConfig

    config = FlagDiTConfig(
        hidden_size=32,
        depth=1,
        num_heads=2,
        num_kv_heads=None,
        token_dims=token_dims,
        feature_dims=features,
        text_dim=TEXT_DIM,
        conditioning_size=16,
        multiple_of=8,
        ffn_dim_multiplier=None,
        norm_eps=1e-5,
        qk_norm=True,
        learn_sigma=False,
        separators=True,
        rope="axial",
        rope_theta=100.0,
        rope_dims=(4, 4, 4, 2, 2),
        initial_gate=0.5,
        attention="auto",
    )
    backbone = FlagDiT(config).eval()
    generator = seeded(11)
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return backbone.requires_grad_(False)


def _velocity(backbone: FlagDiT, items: list[TokenSample]) -> list[torch.Tensor]:
    """The velocity of each sample at t = 0.5 with a text of two tokens."""
    batch = pack(items, separators=True)
    features = torch.randn(2, TEXT_DIM, generator=seeded(12)).repeat(len(items), 1)
    context = backbone.prepare(batch, features, [2] * len(items))
    time = torch.full((len(items),), 0.5)
    velocity = backbone(batch, batch.segment_time(time), context)
    return list(unpack(batch.with_state(velocity)))


def _run(subject: Subject, out: Path, prompt: str | None, *words: str) -> dict[str, Any]:
    """The entry of one file in what `run` prints."""
    prompts = [] if prompt is None else ["--", prompt]
    argv = ["run", f"+modality={subject.name}", f"out={out}", "json=true", *words, *prompts]
    return dict(json.loads(_printed(*argv))["files"][0])


def _printed(*argv: str) -> str:
    """What a command prints. Breaks the rule where it fails."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(argv))
    demand(code == 0, f"lumina {' '.join(argv)[:60]}... says: {err.getvalue()[-300:]}", "mend it")
    return out.getvalue()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
