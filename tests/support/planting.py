"""Faults that an author could make, each planted in a template by a few replacements of text.

Each is written from the sentence of a rule in docs/authors/contract.md and names the check of that
rule. It may break other rules, too. Texts that are replaced occur exactly once in their file, so
that a change of a template that leaves a fault without its place is noticed.
"""

from dataclasses import dataclass
from pathlib import Path

NAME = "sprout"
"""Of the modality in which faults are planted."""

SETUP = "setup.cfg"
PLUGIN = "lumina_sprout/plugin.py"
OPTIONS = "lumina_sprout/options.py"
PARTS = "lumina_sprout/sprout.py"
WORLD = "lumina_sprout/world.py"
YAML = "lumina_sprout/conf/modality/sprout.yaml"

Edit = tuple[str, str | None, str]
"""File, what is replaced, and by what; None: the text is added to the end, the file made."""


@dataclass(frozen=True)
class Fault:
    """What is wrong, and which rule it breaks."""

    name: str
    shape: str
    """The template, as `new_modality` has it."""
    check: str
    edits: tuple[Edit, ...]
    sound: tuple[Edit, ...] = ()
    """What is added first, without fault: a part that the template has not, which can be wrong."""
    survives: str | None = None
    """Why no check can be expected to see it; None: the check breaks."""

    def plant(self, package: Path) -> None:
        """Change a package that was written from the template."""
        edit(package, self.sound + self.edits)


def edit(package: Path, edits: tuple[Edit, ...]) -> None:
    """Replace texts in the files of a package.

    Raises:
        ValueError: a text does not occur exactly once.
    """
    for name, old, new in edits:
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text() if file.exists() else ""
        if old is None:
            file.write_text(text + new)
            continue
        if text.count(old) != 1:
            raise ValueError(f"{old!r} occurs {text.count(old)} times in {name}, not once")
        text = text.replace(old, new)
        for used, import_ in IMPORTED.items():
            if used in text and import_ not in text:
                text = text.replace(IMPORTS, IMPORTS + import_)
        file.write_text(text)


def line(
    check: str, name: str, *edits: Edit, sound: tuple[Edit, ...] = (), survives: str | None = None
) -> Fault:
    """A fault in the template of a line."""
    return Fault(name, "line", check, edits, sound, survives)


def grid(
    check: str, name: str, *edits: Edit, sound: tuple[Edit, ...] = (), survives: str | None = None
) -> Fault:
    """A fault in the template of a grid."""
    return Fault(name, "grid", check, edits, sound, survives)


def behind(file: str, old: str, more: str) -> Edit:
    """A text behind another."""
    return file, old, old + more


def ahead(file: str, old: str, more: str) -> Edit:
    """A text in front of another."""
    return file, old, more + old


LINE_ENCODE = 'return rearrange(media.float() / STD, "sample -> 1 1 1 sample")'
LINE_DECODE = 'return rearrange(latent.float() * STD, "1 1 1 sample -> sample").clamp(-1, 1).cpu()'
GRID_ENCODE = 'return rearrange((pixels_of(media) - MEAN) / STD, "f c h w -> c f h w")'
GRID_DECODE = 'return levels_of(rearrange(latent.float() * STD + MEAN, "c f h w -> f c h w")).cpu()'
LINE_SAVE = """        with atomic_write(path) as file:
            file.write(("\\n".join(lines) + "\\n").encode())
"""
GRID_SAVE = """        encoded = BytesIO()  # Pillow's own writing takes a cut write for a whole one
        image.save(encoded, "PNG", pnginfo=texts)
        with atomic_write(path) as file:
            file.write(encoded.getbuffer())
"""
WRITE_CHECK = "self.check_suffix(path)"
LINE_REQUEST = "lines = [COMMENT + comment_with(metadata), "
GRID_REQUEST = "texts.add_itxt(KEY, comment_with(metadata))"
LINE_FOUND = 'return metadata_in(file.readline().removeprefix(COMMENT).rstrip("\\n"), path)'
GRID_PIXELS = "pixels = as_rgb(image)"
LINE_PICTURE = "return picture.to(torch.uint8)"
GRID_PICTURE = 'return rearrange(media, "f c h w -> c h (f w)").contiguous()'
MODALITY = '"""The sprout modality: its options and its parts."""'
FIT = "    def fit(self, media: Tensor, limits: SizeLimits) -> Tensor:"
LINE_GRID = "self.tokenizer.grid(self.vae.latent_shape((options.samples,)))"
MEDIA_SHAPE = "    def media_shape(self, options: SproutOptions) -> tuple[int, ...]:"
IMPORTS = "from torch import Tensor\n"
IMPORTED = {"torch.": "import torch\n", "LuminaError": "from lumina_core import LuminaError\n"}
"""What faults use and a template may have no use for."""
VAE = 'a formula, so it has no weights."""\n'
LINE_WORDS = "words = (speed, level, pick(FORMS, generator))"
LINE_START = "start = torch.rand((), generator=generator).item()"
LINE_WAVE = 'return LEVELS[level] * (wave.sign() if form == "square" else wave)'
LINE_JUDGE = "size = media.square().mean().sqrt().item()"
GRID_JUDGE = 'axis = 2 if relation == "over" else 3'
TASK_OF = "        _parse(caption)\n        return TASKS[0]"


def line_tokenizer(body: str) -> tuple[Edit, Edit]:
    """A tokenizer of its own."""
    return (
        (PARTS, "PatchTokenizer(1, ", "SproutTokenizer(1, "),
        (PARTS, None, f"\n\nclass SproutTokenizer(PatchTokenizer):\n{body}"),
    )


def grid_tokenizer(body: str) -> tuple[Edit, Edit]:
    """A tokenizer of its own."""
    return (
        (PARTS, "PatchTokenizer(NUM_COLOURS, ", "SproutTokenizer(NUM_COLOURS, "),
        (PARTS, None, f"\n\nclass SproutTokenizer(PatchTokenizer):\n{body}"),
    )


def reordered(order: str) -> tuple[Edit, Edit]:
    """Tokens in another order; `detokenize` undoes it."""
    return grid_tokenizer(f"""
    def tokenize(self, latent):
        found, tokens = self.grid(tuple(latent.shape)), super().tokenize(latent)
        sizes = {{"f": found.frames, "h": found.rows, "w": found.columns}}
        return rearrange(tokens, "(f h w) d -> ({order}) d", **sizes)

    def detokenize(self, tokens, grid):
        sizes = {{"f": grid.frames, "h": grid.rows, "w": grid.columns}}
        return super().detokenize(rearrange(tokens, "({order}) d -> (f h w) d", **sizes), grid)
""")


LINE_PLAIN = (
    ahead(
        WORLD,
        "    def variants(self",
        '''    def vocabulary(self) -> frozenset[str]:
        """All words."""
        return frozenset({"a", *SPEEDS, *LEVELS, *FORMS})

    def plainest(self, text: str) -> str | None:
        """The caption itself."""
        try:
            return f"a {' '.join(_parse(text))}"
        except LuminaError:
            return None

''',
    ),
)
GRID_PLAIN = (
    ahead(
        WORLD,
        "    def variants(self",
        '''    def vocabulary(self) -> frozenset[str]:
        """All words."""
        return frozenset({*COLOURS, *RELATIONS})

    def plainest(self, text: str) -> str | None:
        """The caption itself."""
        try:
            first, relation, second = _parse(text)
        except LuminaError:
            return None
        return f"{first} {relation} {second}"

''',
    ),
)
"""A world that tells its words, and says captions in the plainest of them."""

NO_WORLD = ((PARTS, "self.world = SproutWorld()", "self.world = None"),)
"""A modality that nothing draws."""

LARGE_LINES = (
    (WORLD, '({"samples": 96}, {"samples": 128}, {"samples": 192})', '({"samples": 9608},)'),
    (WORLD, '({"samples": 96}, {"samples": 128}),', '({"samples": 9616},),'),
    (WORLD, '({"samples": 256},)', '({"samples": 9624},)'),
)
"""A world whose smallest medium has more tokens than those that are usually checked."""

BOOLEAN = (
    (WORLD, LINE_WAVE, "return wave > 0"),
    (PARTS, LINE_ENCODE, LINE_ENCODE.replace("media.float()", "(media.float() - 0.5)")),
    (PARTS, "latent.float() * STD", "(latent > 0).float()"),
    (PARTS, ".clamp(-1, 1).cpu()", ".bool().cpu()"),
    (PARTS, "return torch.from_numpy(values)", "return torch.from_numpy(values > 0.5)"),
)
"""A line of media that are true or false."""

DARK = (
    (WORLD, '"red": (220, 30, 30), "green": (30, 200, 60)', '"red": (9, 1, 1), "green": (1, 9, 2)'),
    (WORLD, '"blue": (40, 60, 230)', '"blue": (2, 2, 9)'),
)
"""A grid of few grey levels."""

LINE_CHECK = (
    (OPTIONS, "import Options, setting", "import LuminaError, setting"),
    (OPTIONS, "(Options):", ":"),
    (
        OPTIONS,
        None,
        """
    def __post_init__(self) -> None:
        for key in ("samples", "patch"):
            value = getattr(self, key)
            if not 1 <= value <= LONGEST:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {LONGEST}")
""",
    ),
)
GRID_CHECK = (
    *LINE_CHECK[:2],
    (
        OPTIONS,
        None,
        """
    def __post_init__(self) -> None:
        limits = {"frames": MAX_FRAMES, "height": MAX_SIDE, "width": MAX_SIDE, "patch": MAX_SIDE}
        for key, limit in limits.items():
            value = getattr(self, key)
            if not 1 <= value <= limit:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {limit}")
""",
    ),
)
"""Options that check themselves, without the base class."""

MARKS = ((OPTIONS, None, '    marks: tuple[int, ...] = setting((), "numbers of any size")\n'),)
"""An option whose numbers mean anything."""

CONSTANT = ((WORLD, LINE_WAVE, "return torch.zeros(options.samples)"),)
"""A line that is silent."""

CONDITION = (
    behind(
        PLUGIN,
        'modality="lumina_sprout.sprout:SproutModality",',
        '\n        condition="lumina_sprout.options:SproutCondition",',
    ),
    (
        OPTIONS,
        None,
        '''

@dataclass(frozen=True)
class SproutCondition:
    """What may be given beside the prompt."""

    beginning: str | None = setting(None, "signal whose first half is kept", file=True)
''',
    ),
    (PARTS, "import VAE, Decoder,", "import VAE, Decoder, Given,"),
    ahead(
        PARTS,
        FIT,
        '''    def condition(self, wanted: Any, options: SproutOptions) -> "Given":
        """Keep the first half."""
        given = self.decoder.read(Path(wanted.beginning))[: options.samples]
        signal = torch.zeros(options.samples)
        signal[: len(given)] = given
        known = torch.zeros(1, 1, options.samples, dtype=torch.bool)
        known[..., : options.samples // 2] = True
        return Given(signal, known)

''',
    ),
)
"""A line may begin with a given signal."""

LINE_FEATURES = (
    behind(PARTS, MODALITY, "\n\n    feature_dim = 2"),
    ahead(
        PARTS,
        FIT,
        '''    def features(self, options: SproutOptions, grid: Any) -> Tensor:
        """The length, as the network is told it."""
        return torch.tensor([[1.0, options.samples / 128]]).expand(grid.frames, -1).clone()

''',
    ),
)
GRID_FEATURES = (
    behind(PARTS, MODALITY, "\n\n    feature_dim = 1"),
    ahead(
        PARTS,
        FIT,
        '''    def features(self, options: SproutOptions, grid: Any) -> Tensor:
        """Where in the film a frame stands."""
        return (torch.arange(grid.frames) + 1.0)[:, None] / grid.frames

''',
    ),
)
"""Frames carry numbers beside their tokens."""

WEIGHTS = (
    (OPTIONS, None, '    vae: str = setting("demo", "where the scale is", fixed=True)\n'),
    (SETUP, "conf/modality/*.yaml", "conf/modality/*.yaml, demo/vae/sprout/*"),
    ("lumina_sprout/demo/vae/sprout/scale.pt", None, "0.5\n"),
    (
        PARTS,
        VAE,
        VAE
        + """
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def scale(self) -> float:
        return float((self.folder / "scale.pt").read_text())
""",
    ),
    (PARTS, "media.float() / STD", "media.float() / self.scale"),
    (PARTS, "latent.float() * STD", "latent.float() * self.scale"),
    (PARTS, "SproutVAE()", "SproutVAE(vae_folder)"),
)
"""A line whose VAE has weights, read whenever they are used."""
