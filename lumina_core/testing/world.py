"""Rules about a synthetic world: its captions, its renderer and its oracle."""

from functools import partial

import torch

from lumina_core.runtime import seeded
from lumina_core.testing.refusal import refusal
from lumina_core.testing.rules import builds_on, rule
from lumina_core.testing.samples import all_sizes
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import NotApplicableError, demand
from lumina_core.text.tiny import words_of

HELD_OUT = "held_out"  # the split whose captions training never shows
NUM_CAPTIONS = 1500
NUM_JUDGED = 40
MIN_RIGHT = 0.95  # of drawn media, by the oracle
MAX_CONFUSED = 0.5  # of media judged by another caption of the same task
UNKNOWN = "blortz"  # no word of any caption
NONSENSE = "colourless ideas sleep furiously beside 17 % of nothing"


@rule
def captions_belong_to_their_task(subject: Subject) -> None:
    """Each split has captions of each of its tasks, in one line, and `task_of` tells the task."""
    world = subject.world
    for split in world.splits:
        tasks = world.tasks(split)
        demand(tasks, f"the split {split!r} has no tasks", "name at least one")
        for task in tasks:
            for number in range(20):
                caption = world.caption(split, seeded(number), task)
                is_line = isinstance(caption, str) and caption.strip() and "\n" not in caption
                demand(is_line, f"a caption is {caption!r}", "give one line of text")
                found = world.task_of(caption)
                demand(
                    found == task,
                    f"{caption!r} was made for the task {task!r} and is read as {found!r}",
                    "let every wording parse back to what it was made from",
                )


@rule
def captions_follow_from_the_generator(subject: Subject) -> None:
    """The same generator gives the same caption, and others give many different ones."""
    world = subject.world
    for split in world.splits:
        first = [world.caption(split, seeded(number)) for number in range(30)]
        again = [world.caption(split, seeded(number)) for number in reversed(range(30))]
        demand(
            first == again[::-1], "a caption changes", "take randomness from the generator alone"
        )
        demand(len(set(first)) > 1, f"30 captions of {split!r} are all {first[0]!r}", "vary them")


@rule
def held_out_captions_are_never_trained(subject: Subject) -> None:
    """No caption of the first split is one of the split "held_out"."""
    world = subject.world
    if HELD_OUT not in world.splits:
        raise NotApplicableError(f"it has no split {HELD_OUT!r}")
    trained = {world.caption(world.splits[0], seeded(6, n)) for n in range(NUM_CAPTIONS)}
    held = {world.caption(HELD_OUT, seeded(7, n)) for n in range(NUM_CAPTIONS // 5)}
    both = sorted(trained & held)
    demand(
        not both,
        f"{both[:1]} stands in the trained and in the held-out captions",
        "draw captions of the first split until none is held out",
    )


@rule
def nonsense_is_refused(subject: Subject) -> None:
    """A caption that is none of the world's is refused in one line, not guessed."""
    world = subject.world
    caption = world.caption(world.splits[0], seeded(5))
    words = caption.split()
    spoilt = [" ".join([*words[:n], UNKNOWN, *words[n + 1 :]]) for n in range(len(words))]
    for text in (NONSENSE, "", f"{caption} {UNKNOWN}", f"{UNKNOWN} {caption}", *spoilt):
        refusal(partial(world.task_of, text), repr(text), "raise LuminaError with an example")


@rule
def nearest_captions_are_captions(subject: Subject) -> None:
    """A world with `nearest` knows its own captions, and tells of other texts the nearest one."""
    world = subject.world
    if not world.overrides("nearest"):
        raise NotApplicableError("its world does not override nearest")
    captions = [
        world.caption(split, seeded(number), task)
        for split in world.splits
        for task in world.tasks(split)
        for number in range(20)
    ]
    for caption in captions:
        for text in (caption, f"  {caption.capitalize()}. "):
            demand(
                world.nearest(text) is None,
                f"{text!r} is a caption of the world, and nearest gives {world.nearest(text)!r}",
                "give None for captions of every split, whatever their case and punctuation",
            )
    for text in (NONSENSE, *(f"{caption} {UNKNOWN}" for caption in captions[:20])):
        found = world.nearest(text)
        demand(
            isinstance(found, str) and world.nearest(found) is None,
            f"of {text!r} the nearest caption is {found!r}",
            "give a caption of some split, or None where the text is one",
        )
        world.task_of(found)  # refuses what it cannot draw
        demand(found == world.nearest(text), f"of {text!r} it changes", "choose without chance")


@rule
def vocabularies_hold_every_word(subject: Subject) -> None:
    """A world with `vocabulary` names every word of the captions of its first split."""
    world = subject.world
    if not world.overrides("vocabulary"):
        raise NotApplicableError("its world does not override vocabulary")
    captions = [world.caption(world.splits[0], seeded(10, n)) for n in range(NUM_CAPTIONS)]
    lost = sorted(words_of(captions) - words_of(world.vocabulary()))
    demand(
        not lost,
        f"{lost[:3]} stand in captions and not in the vocabulary",
        "name every word of the captions of the first split",
    )


@rule
def plainest_captions_say_the_same(subject: Subject) -> None:
    """A world with `plainest` keeps the meaning: what is drawn of one caption shows the other."""
    world = subject.world
    if not world.overrides("plainest"):
        raise NotApplicableError("its world does not override plainest")
    for number, sample in enumerate(subject.drawn(NUM_JUDGED // 2)):
        plain = world.plainest(sample.caption)
        demand(
            plain is not None and world.plainest(plain) == plain,
            f"of {sample.caption!r} the plainest caption is {plain!r}, and of this it is "
            f"{plain and world.plainest(plain)!r}",
            "give a caption of every caption, and of the plainest itself",
        )
        drawn = world.draw(plain, sample.options, seeded(11, number))
        for media in (sample.media, drawn):
            verdicts = [
                all(world.judge(media, caption, sample.options).values())
                for caption in (sample.caption, plain)
            ]
            demand(
                verdicts[0] == verdicts[1],
                f"of {sample.caption!r} the plainest caption is {plain!r}, and one of them alone "
                "is judged right",
                "give a caption that says the same",
            )


@rule
def unknown_splits_are_refused(subject: Subject) -> None:
    """A split that the world does not have is refused in one line."""
    world = subject.world
    for what, call in (
        ("tasks", lambda: world.tasks("nowhere")),
        ("variants", lambda: world.variants("nowhere")),
        ("caption", lambda: world.caption("nowhere", seeded(0))),
    ):
        refusal(call, f"{what}('nowhere')", "use lumina_core.media.worlds.captions.check_split")


@rule
def media_have_the_size_that_options_say(subject: Subject) -> None:
    """What is drawn has the shape that `media_shape` tells for its options, in every variant."""
    for split in subject.world.splits:
        count = len(all_sizes(subject.modality, subject.options, split))
        for sample in subject.drawn(min(count, 12), split):
            told = tuple(subject.modality.media_shape(sample.options))
            demand(
                tuple(sample.media.shape) == told,
                f"{split}: drawn is {tuple(sample.media.shape)}, told {told}",
                "draw at the size that the options say",
            )


@rule
def drawing_follows_from_the_generator(subject: Subject) -> None:
    """The same caption, options and generator draw the same media, of one dtype."""
    _ = subject.world
    first, again = ([one.media for one in subject.drawn(6)] for _ in range(2))
    demand(
        all(torch.equal(a, b) for a, b in zip(first, again, strict=True)),
        "drawing twice gives two media",
        "take randomness from the generator alone",
    )
    demand(len({one.dtype for one in first}) == 1, "media differ in dtype", "use one dtype")


@rule
def oracle_agrees_with_the_world(subject: Subject) -> None:
    """The oracle finds everything right in 95 of 100 media that the world drew, in every split."""
    for split in subject.world.splits:
        wrong = []
        for sample in subject.drawn(NUM_JUDGED, split):
            verdict = subject.world.judge(sample.media, sample.caption, sample.options)
            if not all(verdict.values()):
                faults = [name for name, is_right in verdict.items() if not is_right]
                wrong.append(f"{sample.caption!r}: {', '.join(faults)}")
        demand(
            len(wrong) <= (1 - MIN_RIGHT) * NUM_JUDGED,
            f"{split}: {len(wrong)} of {NUM_JUDGED} drawn media are judged wrong, {wrong[:2]}",
            "mend the oracle, or draw what it can tell",
        )


@rule
def oracle_tells_captions_apart(subject: Subject) -> None:
    """Asked for another caption of the same task, the oracle refuses at least half of the media."""
    world = subject.world
    confused, total = [], 0
    for number, sample in enumerate(subject.drawn(NUM_JUDGED)):
        task = world.task_of(sample.caption)
        other = world.caption(world.splits[0], seeded(8, number), task)
        if other == sample.caption:
            continue
        total += 1
        if all(world.judge(sample.media, other, sample.options).values()):
            confused.append((sample.caption, other))
    demand(
        total and len(confused) <= MAX_CONFUSED * total,
        f"{len(confused)} of {total} media pass for another caption, {confused[:1]}",
        "let the oracle measure everything that a caption says",
    )


@rule
def oracle_refuses_nothing_at_all(subject: Subject) -> None:
    """Media of one value, and media of noise, show no caption."""
    world = subject.world
    passed = 0
    samples = list(subject.drawn(10))
    for number, sample in enumerate(samples):
        flat = torch.full_like(sample.media, sample.media.flatten()[0].item())
        order = torch.randperm(sample.media.numel(), generator=seeded(9, number))
        noise = sample.media.flatten()[order].reshape(sample.media.shape)
        for media in (flat, noise):
            passed += all(world.judge(media, sample.caption, sample.options).values())
    demand(
        passed <= 0.2 * 2 * len(samples),
        f"{passed} of {2 * len(samples)} media of one value or of noise are judged right",
        "ask for what only media of the caption have",
    )


@rule
def verdicts_are_named_booleans(subject: Subject) -> None:
    """A verdict is a dictionary of names and booleans, and judging changes nothing."""
    for sample in subject.drawn(4):
        media = sample.media.clone()
        verdict = subject.world.judge(media, sample.caption, sample.options)
        is_fit = isinstance(verdict, dict) and verdict
        demand(
            is_fit and all(type(value) is bool for value in verdict.values()),
            f"a verdict is {verdict!r}",
            "give {name: True or False}; wrap NumPy's and torch's in bool()",
        )
        demand(torch.equal(media, sample.media), "judging changes the media", "work on a copy")


@rule
def world_states_its_version(subject: Subject) -> None:
    """The world has a version, a text that rises whenever drawing or judging changes."""
    version = subject.world.version
    demand(isinstance(version, str) and version, f"version is {version!r}", 'write version = "1"')


@rule
@builds_on("files_hold_the_media")
def oracle_judges_files(subject: Subject) -> None:
    """In 9 of 10 cases media that were written and read back are judged as before."""
    decoder, right, total = subject.modality.decoder, 0, 0
    suffix = next((kind for kind, _ in subject.kinds()), None)
    if suffix is None:
        raise NotApplicableError("its files cannot be read back")
    for number, sample in enumerate(subject.drawn(10)):
        path = subject.new_folder() / f"{number}{suffix}"
        decoder.write(sample.media, path, subject.request(sample), sample.options)
        back = decoder.read(path)
        verdicts = [
            subject.world.judge(media, sample.caption, sample.options)
            for media in (sample.media, back)
        ]
        right += verdicts[0] == verdicts[1]
        total += 1
    demand(
        right >= 0.9 * total,
        f"{total - right} of {total} {suffix} are judged differently from their media",
        "let files keep what the oracle measures",
    )
