"""Rules about the parts together: generating, repeating, conditions."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.flow.settings import SolverConfig
from lumina_core.modality import Given, members
from lumina_core.plugins import host
from lumina_core.records import file_names
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.file_request import read_request
from lumina_core.sampling.request import Request
from lumina_core.sampling.run import run_command
from lumina_core.sampling.sample import sample, sample_latents
from lumina_core.testing.rules import builds_on, rule
from lumina_core.testing.samples import Sample
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import BrokenRuleError, NotApplicableError, demand

NUM_STEPS = 2
SEEDS = (1, 2, 3)
RUN_SEED = 7  # not the usual one
WILD = 10  # standard deviations
CORE = "lumina_core."
LIKENESS = 0.75  # of the name of a member that is meant, as difflib measures it


@rule
def members_are_named_as_in_the_base_class(subject: Subject) -> None:
    """No part has a member of its own whose name is nearly that of one that it leaves as the base
    class has it.
    """
    modality = subject.modality
    parts: tuple[Any, ...] = (
        modality,
        modality.tokenizer,
        modality.vae,
        modality.decoder,
        modality.world,
    )
    for part in (part for part in parts if part is not None):
        for name, meant in _misspelt(part.part, part.base):
            demand(
                False,
                f"{type(part.part).__name__} has {name!r}, which nothing calls",
                f"write {meant!r}, or begin it with _ if it is not meant",
            )


def _misspelt(part: Any, base: type) -> Iterator[tuple[str, str]]:
    """Members of a part that are not of its base class, each with the one that may be meant."""
    order = type(part).__mro__
    classes = order[: order.index(base)]
    own = set(vars(part)).union(*map(vars, classes))
    of_core = set().union(*(vars(one) for one in classes if one.__module__.startswith(CORE)))
    left = members(base) - own
    for name in sorted(own - of_core - members(base)):
        for meant in get_close_matches(name, left, 1, LIKENESS) if name[0] != "_" else ():
            yield name, meant


@rule
@builds_on("vae_is_deterministic")
def seed_decides_what_is_made(subject: Subject) -> None:
    """The same request gives the same media, another seed another latent, and no other sample
    matters.
    """
    one = subject.samples[0]
    requests = [Request(one.caption, "", seed, one.options) for seed in SEEDS]
    sampling = replace(compose_sampling(subject.name), solver=SolverConfig("euler", NUM_STEPS))
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
    latents = [sample_latents(subject.model, [each], sampling)[0] for each in requests[:2]]
    demand(
        not torch.equal(*latents),
        "another seed gives the same latent",
        "let `detokenize` keep what it is given",
    )
    if torch.equal(made[0], made[1]):  # as media of few levels may be, which wild latents move
        wild = [subject.decoded(sign * WILD * latents[0], one.options) for sign in (1, -1)]
        demand(not torch.equal(*wild), "all latents give the same media", "use the latent")


@rule
@builds_on("vae_is_deterministic", "request_survives")
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
    found = read_request(Path(first["path"]))
    demand(
        found.get("prompt") == one.caption,
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
@builds_on("files_hold_the_media")
def condition_takes_a_file(subject: Subject) -> None:
    """What may be given beside the prompt is null unless somebody gives it, and a given file fixes
    cells of the latent of the media to make.
    """
    record: Any = host.condition_class(subject.name)
    if record is None:
        raise NotApplicableError("nothing may be given beside its prompt")
    names = file_names(record)
    usual = [field.name for field in dataclasses.fields(record) if field.default is not None]
    demand(not usual, f"{', '.join(usual)} is given though nobody gives it", "its default is None")
    demand(names, "no field of the condition names a file", "declare it as setting(..., file=True)")
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


def _run(subject: Subject, out: Path, prompt: str | None, *words: str) -> dict[str, Any]:
    """The entry of one file in what `run` prints. Breaks the rule where it is refused."""
    prompts = [] if prompt is None else [f"prompt={prompt}"]
    printed = StringIO()
    try:
        config = compose_run(
            [f"modality={subject.name}", f"out={out}", "json=true", *words, *prompts]
        )
        with redirect_stdout(printed), redirect_stderr(StringIO()):
            run_command(config)
    except LuminaError as error:
        raise BrokenRuleError(
            f"run says: {printable(str(error), MAX_REASON)}; run it and mend what it tells"
        ) from error
    return dict(json.loads(printed.getvalue())["files"][0])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
