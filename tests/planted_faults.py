"""Faults that an author could make, each planted in a template by a few replacements of text.

Each is written from the sentence of a rule in docs/contract.md and names the check of that rule. It
may break other rules, too. Texts that are replaced occur exactly once in their file, so that a
change of a template that leaves a fault without its place is noticed.
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
    like: str | None
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
        file.write_text(text.replace(old, new))


def line(
    check: str, name: str, *edits: Edit, sound: tuple[Edit, ...] = (), survives: str | None = None
) -> Fault:
    """A fault in the template of a line."""
    return Fault(name, None, check, edits, sound, survives)


def grid(
    check: str, name: str, *edits: Edit, sound: tuple[Edit, ...] = (), survives: str | None = None
) -> Fault:
    """A fault in the template of a grid."""
    return Fault(name, "video", check, edits, sound, survives)


def behind(file: str, old: str, more: str) -> Edit:
    """A text behind another."""
    return file, old, old + more


def ahead(file: str, old: str, more: str) -> Edit:
    """A text in front of another."""
    return file, old, more + old


LINE_ENCODE = 'return rearrange(media.float() / STD, "sample -> 1 1 sample 1")'
LINE_DECODE = 'return rearrange(latent.float() * STD, "1 1 sample 1 -> sample").clamp(-1, 1).cpu()'
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
WRITE_CHECK = "if path.suffix.lower() not in self.suffixes:"
LINE_REQUEST = "lines = [COMMENT + comment_with(metadata), "
GRID_REQUEST = "texts.add_itxt(KEY, comment_with(metadata))"
LINE_FOUND = 'return metadata_in(file.readline().removeprefix(COMMENT).rstrip("\\n"), path)'
GRID_PIXELS = 'pixels = torch.from_numpy(np.array(image.convert("RGB")))'
LINE_PICTURE = "return picture.to(torch.uint8)"
GRID_PICTURE = 'return rearrange(media, "f c h w -> c h (f w)").contiguous()'
MODALITY = '"""The sprout modality: its options and its parts."""'
FIT = "    def fit(self, media: Tensor, limits: SizeLimits) -> Tensor:"
MEDIA_SHAPE = "    def media_shape(self, options: SproutOptions) -> tuple[int, ...]:"
IMPORTS = "from torch import Tensor\n"
VAE = "    folder = None\n"
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

    beginning: str | None = field(metadata={"file": True})
    """Signal whose first half is kept."""
''',
    ),
    ahead(
        YAML, "sampling:\n", "condition:\n  beginning: null  # signal whose first half is kept\n"
    ),
    (PARTS, "PatchTokenizer, SizeLimits", "Given, PatchTokenizer, SizeLimits"),
    ahead(
        PARTS,
        FIT,
        '''    def condition(self, wanted: Any, options: SproutOptions) -> "Given":
        """Keep the first half."""
        given = self.decoder.read(Path(wanted.beginning))[: options.samples]
        signal = torch.zeros(options.samples)
        signal[: len(given)] = given
        known = torch.zeros(1, options.samples, 1, dtype=torch.bool)
        known[:, : options.samples // 2] = True
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
    behind(
        OPTIONS,
        '"""Samples of a token; fixed by a checkpoint."""',
        '\n    vae: str = field(metadata={"architecture": True})\n    """Where the scale is."""',
    ),
    ahead(YAML, "sampling:\n", "vae: demo  # where the scale is\n"),
    (SETUP, "conf/modality/*.yaml", "conf/modality/*.yaml, demo/vae/sprout/*"),
    ("lumina_sprout/demo/vae/sprout/scale.pt", None, "0.5\n"),
    (
        PARTS,
        VAE,
        """    def __init__(self, folder: Path) -> None:
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

PACKAGE = (
    line(
        "entry_module_is_light",
        "torch is imported by the entry module",
        ahead(PLUGIN, "from lumina_core import ModalitySpec", "import torch\n"),
    ),
    grid(
        "entry_module_is_light",
        "the entry module imports the parts to name their class",
        ahead(PLUGIN, "\n@hookimpl", "from lumina_sprout.sprout import SproutModality\n"),
    ),
    line(
        "entry_module_is_light",
        "a table is computed at import",
        ahead(PLUGIN, "\n@hookimpl", "SUM = sum(n * n for n in range(20_000_000))\n"),
    ),
    line(
        "options_are_light",
        "torch is imported for one type",
        ahead(OPTIONS, "from dataclasses", "import torch\n"),
    ),
    grid(
        "options_are_light",
        "a constant is taken from a module that imports torch",
        behind(
            OPTIONS,
            "from lumina_core import LuminaError\n",
            "from lumina_core.frames import NUM_COLOURS\n",
        ),
    ),
    line(
        "core_version_is_bounded",
        "a lower bound only",
        (SETUP, "lumina-core>=0.1,<0.2", "lumina-core>=0.1"),
    ),
    grid("core_version_is_bounded", "no bound at all", (SETUP, ">=0.1,<0.2", "")),
    line(
        "core_version_is_bounded",
        "one version is left out instead of all from there on",
        (SETUP, ">=0.1,<0.2", ">=0.1,!=0.2"),
    ),
    line(
        "api_is_a_literal",
        "the core's own constant",
        (PLUGIN, "api=(2, 1)", "api=PLUGIN_API"),
        ahead(PLUGIN, "\n@hookimpl", "from lumina_core.modality import PLUGIN_API\n"),
    ),
    grid(
        "api_is_a_literal",
        "the core's major number and one of its own",
        (PLUGIN, "api=(2, 1)", "api=(modality.PLUGIN_API[0], 1)"),
        ahead(PLUGIN, "\n@hookimpl", "from lumina_core import modality\n"),
    ),
    line(
        "api_is_a_literal",
        "the core's constant under another name",
        (PLUGIN, "api=(2, 1)", "api=API"),
        ahead(PLUGIN, "\n@hookimpl", "from lumina_core.modality import PLUGIN_API as API\n"),
    ),
    line(
        "summary_is_one_line",
        "a summary of two lines",
        (PLUGIN, "Text to signals (CSV)", "Text to signals\\nas CSV"),
    ),
    grid("summary_is_one_line", "no summary", (PLUGIN, "Text to frames (PNG)", "")),
    line(
        "summary_is_one_line",
        "a summary that is still to be written",
        (PLUGIN, "Text to signals (CSV)", "Summary"),
    ),
    line(
        "summary_is_one_line",
        "a package without description",
        (SETUP, "Text to signals (CSV), a modality of lumina-core", ""),
    ),
    line(
        "yaml_is_shipped",
        "package data of another folder",
        (SETUP, "conf/modality/*.yaml", "conf/*.yaml"),
    ),
    grid(
        "yaml_is_shipped",
        "package data with the other suffix",
        (SETUP, "conf/modality/*.yaml", "conf/modality/*.yml"),
    ),
    line(
        "yaml_explains_every_option",
        "no comment",
        (YAML, "patch: 8                # [samples] length of a token", "patch: 8"),
    ),
    grid(
        "yaml_explains_every_option",
        "an empty comment",
        (YAML, "# [pixels] both sides of a token", "#"),
    ),
    grid(
        "yaml_explains_every_option",
        "a unit and no meaning",
        (YAML, "# [frames] how many", "# [frames]"),
    ),
    line(
        "conf_holds_what_is_read",
        "an earlier YAML beside the modality's",
        ("lumina_sprout/conf/modality/sprout_old.yaml", None, "samples: 64  # [samples] length\n"),
    ),
    grid(
        "conf_holds_what_is_read",
        "a recipe of training that nothing reads",
        (SETUP, "conf/modality/*.yaml", "conf/*/*.yaml"),
        ("lumina_sprout/conf/train/long.yaml", None, "max_steps: 9000\n"),
    ),
    line(
        "only_public_names_are_imported",
        "a private name",
        behind(PARTS, IMPORTS, "from lumina_core.files import _temporary\n"),
    ),
    line(
        "only_public_names_are_imported",
        "a module that is not for plugins, imported by a function",
        (PARTS, LINE_ENCODE, f"from lumina_core.runtime import seeded\n\n        {LINE_ENCODE}"),
    ),
    grid(
        "only_public_names_are_imported",
        "another plugin",
        behind(WORLD, IMPORTS, "from lumina_image.world import ImageWorld\n"),
    ),
    grid(
        "only_public_names_are_imported",
        "a module of the core as a name of the core",
        behind(WORLD, IMPORTS, "from lumina_core import sampling\n"),
    ),
    line(
        "only_public_names_are_imported",
        "another plugin by importlib",
        behind(
            WORLD,
            IMPORTS,
            'import importlib\nOTHER = importlib.import_module("lumina_video.options")\n',
        ),
    ),
)

OPTION_RULES = (
    line(
        "options_are_frozen_and_comparable",
        "options can be changed",
        (OPTIONS, "@dataclass(frozen=True)", "@dataclass"),
    ),
    grid(
        "options_are_frozen_and_comparable",
        "equal options are not equal",
        (OPTIONS, "@dataclass(frozen=True)", "@dataclass(frozen=True, eq=False)"),
    ),
    line(
        "yaml_and_options_agree",
        "a key that the options have not",
        ahead(YAML, "sampling:", "rate: 8000  # [Hz] samples in a second\n"),
    ),
    line(
        "yaml_and_options_agree",
        "a field that the YAML has not",
        (YAML, "patch: 8                # [samples] length of a token\n", ""),
    ),
    grid("yaml_and_options_agree", "a word for a number", (YAML, "patch: 4 ", "patch: four ")),
    line(
        "yaml_and_options_agree",
        "a default in the class instead of the YAML",
        behind(OPTIONS, "fixed by a checkpoint.", '"""\n    gain: float = 1.0\n    """Loudness.'),
    ),
    line("recommendations_compose", "a misspelt key", (YAML, "num_steps: 16", "num_step: 16")),
    grid("recommendations_compose", "an optimizer that there is not", (YAML, "muon", "sgd")),
    grid("recommendations_compose", "no number", (YAML, "max_steps: 600", "max_steps: many")),
    line("recommendations_compose", "steps below zero", (YAML, "num_steps: 16", "num_steps: -16")),
    line(
        "absurd_options_are_refused",
        "one option is not checked",
        (OPTIONS, 'in ("samples", "patch")', 'in ("samples",)'),
    ),
    line(
        "absurd_options_are_refused",
        "no upper bound",
        (OPTIONS, "not 1 <= value <= MAX_SAMPLES", "value < 1"),
    ),
    grid(
        "absurd_options_are_refused", "no check of frames", (OPTIONS, '"frames": MAX_FRAMES, ', "")
    ),
    grid(
        "absurd_options_are_refused",
        "a message without the key",
        (OPTIONS, "modality.{key}={value} is", "{value} is"),
    ),
    line(
        "absurd_options_are_refused",
        "a message of two lines",
        (OPTIONS, "is out of range; use", "is out of range\\nuse"),
    ),
    line(
        "absurd_options_are_refused",
        "an error that is not the user's",
        (OPTIONS, "raise LuminaError(", "raise ValueError("),
    ),
    line(
        "absurd_options_are_refused",
        "nan is not below zero",
        behind(OPTIONS, "fixed by a checkpoint.", '"""\n    gain: float\n    """Loudness.'),
        behind(
            OPTIONS,
            "def __post_init__(self) -> None:\n",
            "        if self.gain < 0 or self.gain > 10:\n"
            '            raise LuminaError(f"modality.gain={self.gain} is out of range")\n',
        ),
        ahead(YAML, "sampling:", "gain: 1.0  # [times] loudness\n"),
    ),
    line(
        "illegal_sizes_name_legal_ones",
        "the size named is one too many",
        (PARTS, 'f"{below} or {below + patch}" if below', 'f"{below + 1}" if below'),
    ),
    line(
        "illegal_sizes_name_legal_ones",
        "the patch alone is named",
        (PARTS, 'f"{below} or {below + patch}" if below', 'f"{patch}" if below'),
    ),
    line(
        "illegal_sizes_name_legal_ones",
        "no size is named",
        (PARTS, "is no multiple of {patch}; use {legal}", "does not fit"),
    ),
    line(
        "media_have_the_shape_they_are_said_to",
        "one sample too few is told",
        (PARTS, "return (options.samples,)", "return (options.samples - 1,)"),
    ),
    grid(
        "media_have_the_shape_they_are_said_to",
        "width and height are exchanged",
        (PARTS, "options.height, options.width\n", "options.width, options.height\n"),
    ),
    grid(
        "media_have_the_shape_they_are_said_to",
        "one frame is told",
        (PARTS, "return options.frames, NUM", "return 1, NUM"),
    ),
    grid(
        "features_fit_the_frames",
        "features of the whole instead of each frame",
        (PARTS, "(torch.arange(grid.frames) + 1.0)[:, None] / grid.frames", "torch.ones(1, 1)"),
        sound=GRID_FEATURES,
    ),
    grid(
        "features_fit_the_frames",
        "one frame divides by zero",
        (PARTS, "+ 1.0)[:, None] / grid.frames", "+ 0.0)[:, None] / (grid.frames - 1)"),
        sound=GRID_FEATURES,
    ),
    line(
        "features_fit_the_frames",
        "more features than were told",
        (PARTS, "feature_dim = 2", "feature_dim = 1"),
        sound=LINE_FEATURES,
    ),
)

TOKENIZER = (
    line(
        "sizes_differ",
        "one length only",
        (WORLD, '({"samples": 96}, {"samples": 128}, {"samples": 192})', '({"samples": 96},)'),
        (WORLD, '({"samples": 96}, {"samples": 128}),', '({"samples": 96},),'),
        (WORLD, '({"samples": 256},)', '({"samples": 96},)'),
    ),
    line(
        "tokens_come_back",
        "the order is turned round",
        *line_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.flip(0), grid)
"""),
    ),
    line(
        "tokens_come_back",
        "half precision in between",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.half().to(latent.dtype))
"""),
    ),
    grid(
        "tokens_come_back",
        "rows and columns are exchanged on the way back",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        tokens = rearrange(tokens, "(h w) d -> (w h) d", h=grid.rows * grid.frames)
        return super().detokenize(tokens, grid)
"""),
    ),
    grid(
        "tokens_come_back",
        "rows and columns within a token are exchanged",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        side = self.patch[1]
        tokens = rearrange(tokens, "n (h w c) -> n (w h c)", h=side, w=side)
        return super().detokenize(tokens, grid)
"""),
    ),
    grid(
        "tokens_come_back",
        "only square ones come back",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        if grid.rows != grid.columns:
            tokens = tokens.roll(1, 0)
        return super().detokenize(tokens, grid)
"""),
    ),
    line(
        "length_is_told",
        "one value too many is told",
        *line_tokenizer("""
    @property
    def token_dim(self):
        return super().token_dim + 1

    def detokenize(self, tokens, grid):
        tokens = rearrange(tokens, "n p -> (n p)")
        return rearrange(tokens, "(c f h w) -> c f h w", c=1, f=1, w=1)
"""),
    ),
    grid(
        "length_is_told",
        "a grid of pixels instead of tokens",
        *grid_tokenizer("""
    def grid(self, latent_shape):
        from dataclasses import replace

        found = super().grid(latent_shape)
        return replace(found, rows=found.rows * self.patch[1])
"""),
    ),
    line(
        "every_value_counts",
        "tokens are centred together",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent - latent.mean())
"""),
    ),
    grid(
        "every_value_counts",
        "neighbouring tokens are mixed",
        *grid_tokenizer("""
    def tokenize(self, latent):
        tokens = super().tokenize(latent)
        return tokens + 0.5 * tokens.roll(1, 0)
"""),
    ),
    grid(
        "every_value_counts",
        "one value of each token is left out",
        *grid_tokenizer("""
    def tokenize(self, latent):
        tokens = super().tokenize(latent).clone()
        tokens[:, -1] = 0
        return tokens
"""),
    ),
    grid("tokens_stand_in_reading_order", "column by column", *reordered("f w h")),
    grid("tokens_stand_in_reading_order", "frames innermost", *reordered("h w f")),
    line(
        "tokens_stand_in_reading_order",
        "from the end to the beginning",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent).flip(0)

    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.flip(0), grid)
"""),
    ),
    grid(
        "tokens_stand_in_reading_order",
        "the lowest row first, as in a plot",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.flip(2))

    def detokenize(self, tokens, grid):
        return super().detokenize(tokens, grid).flip(2)
"""),
    ),
    line(
        "dtypes_are_kept",
        "tokens are always float32",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.float())
"""),
    ),
    grid(
        "dtypes_are_kept",
        "latents are always float32",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.float(), grid)
"""),
    ),
    line(
        "tokenizer_leaves_its_input_alone",
        "the latent is held within limits in place",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.clamp_(-1, 1))
"""),
    ),
    grid(
        "tokenizer_leaves_its_input_alone",
        "tokens are rounded in place",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.round_(decimals=2), grid)
"""),
    ),
    line(
        "wrong_shapes_are_refused",
        "further channels are left out",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent[:1])
"""),
    ),
    line(
        "wrong_shapes_are_refused",
        "missing tokens are zeros",
        *line_tokenizer("""
    def detokenize(self, tokens, grid):
        missing = torch.zeros(grid.num_patches - len(tokens), self.token_dim, dtype=tokens.dtype)
        return super().detokenize(torch.cat([tokens, missing]), grid)
"""),
    ),
    grid(
        "wrong_shapes_are_refused",
        "of a batch the first latent is taken",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent[0] if latent.ndim == 5 else latent)
"""),
    ),
    grid(
        "wrong_shapes_are_refused",
        "a grey latent becomes one of three channels",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.expand(self.channels, -1, -1, -1))
"""),
    ),
    line("positions_differ", "a step of zero", (PARTS, "UNIT = 1.0", "UNIT = 0.0")),
    grid("positions_differ", "no step along columns", (PARTS, "EXTENT / columns", "0.0")),
    grid(
        "positions_differ", "no step along frames", (PARTS, "FRAME_UNIT = 1.0", "FRAME_UNIT = 0.0")
    ),
    grid(
        "positions_differ",
        "whole numbers, which are zero in large pictures",
        (PARTS, "EXTENT / rows, EXTENT / columns", "EXTENT // rows, EXTENT // columns"),
    ),
    grid(
        "tokens_stand_in_reading_order",
        "the rows of all frames are one frame",
        *grid_tokenizer("""
    def grid(self, latent_shape):
        from dataclasses import replace

        found = super().grid(latent_shape)
        return replace(found, frames=1, rows=found.frames * found.rows)

    def detokenize(self, tokens, grid):
        rows = self.latent_rows if hasattr(self, "latent_rows") else grid.rows
        latent = super().detokenize(tokens, grid)
        return rearrange(latent, "c 1 (f h) w -> c f h w", h=rows * self.patch[1])

    def tokenize(self, latent):
        self.latent_rows = latent.shape[2] // self.patch[1]
        return super().tokenize(latent)
"""),
    ),
    line(
        "separators_are_counted_and_dropped",
        "a grid that counts its separators itself, without those between frames",
        *line_tokenizer("""
    def grid(self, latent_shape):
        from dataclasses import dataclass, fields

        from lumina_core import Grid

        @dataclass(frozen=True)
        class Counted(Grid):
            def num_positions(self, separators):
                return self.num_patches + separators * self.columns

        found = super().grid(latent_shape)
        return Counted(**{one.name: getattr(found, one.name) for one in fields(Grid)})
"""),
    ),
)

VAE_RULES = (
    line(
        "latents_have_the_shape_they_are_said_to",
        "a latent of float64",
        (PARTS, "media.float() / STD", "media.double() / STD"),
    ),
    grid(
        "latents_have_the_shape_they_are_said_to",
        "a latent of half precision",
        (PARTS, "(pixels_of(media) - MEAN) / STD", "((pixels_of(media) - MEAN) / STD).half()"),
    ),
    grid(
        "latents_have_the_shape_they_are_said_to",
        "height and width are exchanged",
        (PARTS, "return colours, frames, height, width", "return colours, frames, width, height"),
    ),
    line(
        "latents_have_the_shape_they_are_said_to",
        "time is told along the frames",
        (PARTS, "return 1, 1, media_shape[0], 1", "return 1, media_shape[0], 1, 1"),
    ),
    line(
        "media_come_back",
        "one sample is lost",
        (PARTS, ".clamp(-1, 1).cpu()", "[:-1].clamp(-1, 1)"),
    ),
    line(
        "media_come_back",
        "an axis too many",
        (PARTS, '"1 1 sample 1 -> sample"', '"1 1 s 1 -> 1 s"'),
    ),
    grid(
        "media_come_back",
        "frames of float32",
        (PARTS, GRID_DECODE, GRID_DECODE.replace(".cpu()", ".cpu().float()")),
    ),
    grid(
        "media_come_back",
        "height and width are exchanged",
        (PARTS, '"c f h w -> f c h w"', '"c f h w -> f c w h"'),
    ),
    grid(
        "media_come_back",
        "only the first frame is decoded",
        (PARTS, GRID_DECODE, GRID_DECODE.replace(".cpu()", ".cpu()[:1]")),
    ),
    line(
        "vae_is_deterministic",
        "the posterior is sampled",
        (PARTS, "media.float() / STD", "media.float() / STD + 1e-4 * torch.randn(len(media))"),
    ),
    grid(
        "vae_is_deterministic",
        "decoding dithers",
        (PARTS, "latent.float() * STD + MEAN", "latent * STD + MEAN + torch.rand(()) / 50"),
    ),
    line(
        "samples_do_not_depend_on_each_other",
        "levels are those of the first signal",
        (
            PARTS,
            LINE_ENCODE,
            "self.peak = getattr(self, 'peak', media.abs().max())\n        "
            + LINE_ENCODE.replace("/ STD", "/ self.peak / STD"),
        ),
    ),
    grid(
        "samples_do_not_depend_on_each_other",
        "a running mean",
        (
            PARTS,
            GRID_ENCODE,
            "pixels = pixels_of(media)\n"
            "        self.mean = 0.9 * getattr(self, 'mean', MEAN) + 0.1 * pixels.mean()\n        "
            + GRID_ENCODE.replace("- MEAN", "- self.mean"),
        ),
    ),
    line(
        "samples_do_not_depend_on_each_other",
        "what is decoded has the loudness of what was encoded last",
        (PARTS, LINE_ENCODE, f"self.peak = media.abs().max()\n        {LINE_ENCODE}"),
        (
            PARTS,
            LINE_DECODE,
            LINE_DECODE.replace("* STD", "* STD * getattr(self, 'peak', torch.tensor(1.0))"),
        ),
    ),
    line(
        "samples_do_not_depend_on_each_other",
        "the last latent of the same length is decoded again",
        (
            PARTS,
            LINE_DECODE,
            "known = self.__dict__.setdefault('known', {})\n"
            "        if latent.shape not in known:\n"
            "            known[latent.shape] = latent\n"
            "        latent = known[latent.shape]\n        " + LINE_DECODE,
        ),
    ),
    line(
        "vae_leaves_its_input_alone",
        "media are divided in place",
        (PARTS, "media.float() / STD", "media.float().div_(STD)"),
    ),
    grid(
        "vae_leaves_its_input_alone",
        "a latent is scaled in place",
        (PARTS, "latent.float() * STD + MEAN", "latent.mul_(STD).add_(MEAN)"),
    ),
    line("latents_are_normalised", "a scale left out", (PARTS, "STD = 0.5", "STD = 1.0")),
    grid(
        "latents_are_normalised",
        "a shift left out",
        (PARTS, "MEAN, STD = -0.55", "MEAN, STD = 0.0"),
    ),
    grid(
        "latents_are_normalised",
        "grey levels instead of pixels",
        (PARTS, "(pixels_of(media) - MEAN) / STD", "media.float()"),
    ),
    grid(
        "latents_are_normalised",
        "one channel is not scaled",
        (
            PARTS,
            GRID_ENCODE,
            "latent = (pixels_of(media) - MEAN) / STD\n        latent[:, 2] *= 3\n"
            '        return rearrange(latent, "f c h w -> c f h w")',
        ),
    ),
    line(
        "oracle_recognises_round_trips",
        "decoding forgets the scale",
        (PARTS, "latent.float() * STD", "latent.float()"),
    ),
    grid(
        "oracle_recognises_round_trips",
        "decoding forgets the shift",
        (PARTS, "latent.float() * STD + MEAN", "latent.float() * STD"),
    ),
    grid(
        "oracle_recognises_round_trips",
        "colours come back as blue, green, red",
        (PARTS, "latent.float() * STD + MEAN", "latent.flip(0) * STD + MEAN"),
    ),
    grid(
        "oracle_recognises_round_trips",
        "frames come back upside down",
        (PARTS, "latent.float() * STD + MEAN", "latent.flip(2, 3) * STD + MEAN"),
    ),
    line("wild_latents_become_media", "no limits", (PARTS, ".clamp(-1, 1)", "")),
    line("wild_latents_become_media", "one limit", (PARTS, ".clamp(-1, 1)", ".clamp(max=1)")),
    grid(
        "wild_latents_become_media",
        "levels wrap around",
        (
            PARTS,
            GRID_DECODE,
            'levels = rearrange(latent * STD + MEAN, "c f h w -> f c h w") * 127.5 + 127.5\n'
            "        return levels.round().int().remainder(256).to(torch.uint8)",
        ),
    ),
    line(
        "wild_latents_become_media",
        "large latents are refused",
        (
            PARTS,
            LINE_DECODE,
            "if latent.abs().max() > 6:\n"
            f'            raise LuminaError("no such latent")\n        {LINE_DECODE}',
        ),
    ),
    line(
        "memory_grows_with_the_size",
        "every sample is compared with every other",
        (
            PARTS,
            LINE_ENCODE,
            "media = media + 0 * (media[:, None] - media[None]).mean(dim=1)\n"
            f"        {LINE_ENCODE}",
        ),
    ),
    grid(
        "memory_grows_with_the_size",
        "decoding attends from each pixel to each",
        (
            PARTS,
            GRID_DECODE,
            'flat = rearrange(latent[0], "f h w -> (f h w)")\n'
            f"        latent = latent + 0 * (flat[:, None] * flat).mean()\n        {GRID_DECODE}",
        ),
    ),
    grid(
        "memory_grows_with_the_size",
        "all frames before each frame are kept",
        (
            PARTS,
            GRID_ENCODE,
            "seen = [media[: n + 1].float() for n in range(len(media))]\n"
            f"        media = seen[-1].to(media.dtype)\n        {GRID_ENCODE}",
        ),
        survives="memory is measured on small media, where a few frames weigh little",
    ),
    line(
        "weights_wait_for_their_use",
        "weights are read when the parts are made",
        (PARTS, "self.folder = folder\n", "self.folder = folder\n        self.read = self.scale\n"),
        sound=WEIGHTS,
    ),
    line(
        "weights_wait_for_their_use",
        "weights are read to tell a shape",
        ahead(PARTS, "return 1, 1, media_shape[0], 1", "self.read = self.scale\n        "),
        sound=WEIGHTS,
    ),
    line(
        "threads_share_the_parts",
        "a buffer that all calls share",
        (
            PARTS,
            LINE_ENCODE,
            "self.buffer = torch.zeros(len(media))\n"
            "        for n in range(len(media)):\n"
            "            self.buffer[n] = media[n] / STD\n"
            '        return rearrange(self.buffer.clone(), "sample -> 1 1 sample 1")',
        ),
    ),
    grid(
        "threads_share_the_parts",
        "what a method leaves for the next on the object",
        (
            PARTS,
            GRID_DECODE,
            "self.latent = latent.float() * STD\n"
            "        for channel in range(3):\n"
            "            self.latent[channel] += MEAN\n"
            '        return levels_of(rearrange(self.latent, "c f h w -> f c h w")).cpu()',
        ),
    ),
)

DECODER = (
    line(
        "suffixes_are_declared", "one text", (PARTS, 'suffixes = (".csv",)', 'suffixes = (".csv")')
    ),
    grid("suffixes_are_declared", "a list", (PARTS, 'suffixes = (".png",)', 'suffixes = [".png"]')),
    grid(
        "suffixes_are_declared",
        "capitals",
        (PARTS, 'suffixes = (".png",)', 'suffixes = (".png", ".PNG")'),
    ),
    line(
        "suffixes_are_declared",
        "no dot",
        (PARTS, 'suffixes = (".csv",)', 'suffixes = ("csv",)'),
        (PARTS, "path.suffix.lower() not", "path.suffix.lower()[1:] not"),
    ),
    line("files_hold_the_media", "three digits", (PARTS, "{value:.9g}", "{value:.3g}")),
    line(
        "files_hold_the_media",
        "the first value is taken for a heading",
        (PARTS, "return torch.from_numpy(values)", "return torch.from_numpy(values[1:])"),
    ),
    grid(
        "files_hold_the_media",
        "grey files",
        (PARTS, ".contiguous().numpy())", '.contiguous().numpy()).convert("L")'),
    ),
    grid(
        "files_hold_the_media",
        "blue, green, red",
        (PARTS, GRID_PIXELS, GRID_PIXELS.replace('"RGB"))', '"RGB"))[..., ::-1].copy()')),
    ),
    grid(
        "files_hold_the_media",
        "columns of all frames are mixed",
        (PARTS, '"h (f w) c -> f c h w"', '"h (w f) c -> f c h w"'),
    ),
    line(
        "nothing_else_is_written",
        "the request beside the file",
        (PARTS, LINE_SAVE, LINE_SAVE + '        path.with_suffix(".json").write_text("{}")\n'),
    ),
    grid(
        "nothing_else_is_written",
        "what is behind the first dot of a name is lost",
        (
            PARTS,
            "with atomic_write(path) as",
            'with atomic_write(path.with_name(path.name.split(".")[0] + ".png")) as',
        ),
    ),
    line(
        "nothing_else_is_written",
        "a copy of what is replaced",
        ahead(
            PARTS,
            LINE_SAVE,
            "        if path.exists():\n"
            '            path.with_name(path.name + "~").write_bytes(path.read_bytes())\n',
        ),
    ),
    line(
        "request_survives",
        "as Python prints it",
        (PARTS, "comment_with(metadata)", '"lumina " + str(dict(metadata))'),
    ),
    grid(
        "request_survives",
        "only what is ASCII",
        (
            PARTS,
            GRID_REQUEST,
            'request = json.dumps(metadata, ensure_ascii=False).encode("ascii", "ignore")\n'
            '        texts.add_itxt(KEY, "lumina " + request.decode())',
        ),
    ),
    line(
        "request_survives",
        "some characters end a line",
        (
            PARTS,
            "comment_with(metadata)",
            '"lumina " + __import__("json").dumps(metadata, ensure_ascii=False)',
        ),
        (PARTS, "file.readline()", "file.read().splitlines()[0]"),
    ),
    grid(
        "request_survives",
        "long requests are cut",
        (PARTS, "comment_with(metadata)", "comment_with(metadata)[:400]"),
    ),
    line(
        "request_survives",
        "a list of requests by path",
        (
            PARTS,
            LINE_REQUEST,
            "self.__dict__.setdefault('known', {})[path] = dict(metadata)\n"
            f"        {LINE_REQUEST}",
        ),
        (PARTS, LINE_FOUND, "return self.__dict__.get('known', {}).get(path)"),
    ),
    line(
        "request_survives",
        "every value becomes a text",
        (PARTS, "comment_with(metadata)", "comment_with({k: str(v) for k, v in metadata.items()})"),
    ),
    grid(
        "equal_requests_make_equal_files",
        "the time of writing",
        behind(PARTS, GRID_REQUEST, '\n        texts.add_itxt("Created", str(time.time()))'),
        ahead(PARTS, "import json\n", "import time\n"),
    ),
    grid(
        "equal_requests_make_equal_files",
        "the day of writing",
        behind(PARTS, GRID_REQUEST, '\n        texts.add_itxt("Created", str(date.today()))'),
        ahead(PARTS, "from io ", "from datetime import date\n"),
    ),
    line(
        "equal_requests_make_equal_files",
        "a random name",
        (PARTS, LINE_REQUEST, LINE_REQUEST + 'f"# {uuid4()}", '),
        ahead(PARTS, "from pathlib", "from uuid import uuid4\n"),
    ),
    line(
        "equal_requests_make_equal_files",
        "the name of the file",
        (PARTS, LINE_REQUEST, LINE_REQUEST + 'f"# {path.name}", '),
    ),
    line(
        "equal_requests_make_equal_files",
        "the folder of the file",
        (PARTS, LINE_REQUEST, LINE_REQUEST + 'f"# in {path.absolute().parent}", '),
    ),
    line(
        "equal_requests_make_equal_files",
        "the order of a set of texts, another in each process",
        (PARTS, LINE_REQUEST, LINE_REQUEST + 'f"# keys: {set(metadata)}", '),
        survives="to write in a second process takes seconds",
    ),
    line(
        "full_disk_leaves_nothing",
        "errors of writing are swallowed",
        (
            PARTS,
            LINE_SAVE,
            "        try:\n"
            + "".join(f"    {each}\n" for each in LINE_SAVE.splitlines())
            + "        except LuminaError:\n            pass\n",
        ),
    ),
    grid(
        "full_disk_leaves_nothing",
        "Pillow writes the file",
        (PARTS, GRID_SAVE, '        image.save(path, "PNG", pnginfo=texts)\n'),
    ),
    line(
        "full_disk_leaves_nothing",
        "a temporary file that nobody removes",
        (
            PARTS,
            LINE_SAVE,
            '        part = path.with_name(path.name + ".part")\n'
            '        part.write_text("\\n".join(lines) + "\\n")\n        part.replace(path)\n',
        ),
    ),
    grid(
        "interruption_leaves_no_half_file",
        "the file is opened under its name",
        (PARTS, "with atomic_write(path) as file:", 'with path.open("wb") as file:'),
    ),
    line(
        "interruption_leaves_no_half_file",
        "the values are added to a file with the request",
        (PARTS, '("\\n".join(lines) + "\\n")', '("\\n".join(lines[:2]) + "\\n")'),
        (
            PARTS,
            '+ "\\n").encode())\n',
            '+ "\\n").encode())\n        with path.open("a") as more:\n'
            '            more.write("\\n".join(lines[2:]) + "\\n")\n',
        ),
    ),
    line(
        "existing_files_are_replaced_whole",
        "the earlier file is removed first",
        ahead(PARTS, LINE_SAVE, "        path.unlink(missing_ok=True)\n"),
    ),
    grid(
        "existing_files_are_replaced_whole",
        "the earlier file is emptied first",
        ahead(PARTS, "        with atomic_write(path)", '        path.write_bytes(b"")\n'),
    ),
    line(
        "broken_files_are_refused",
        "the number of values is not compared",
        (PARTS, " or told not in ([], [str(len(values))])", ""),
    ),
    line(
        "broken_files_are_refused",
        "whatever is wrong, zeros are returned",
        (
            PARTS,
            'with reading(path, "a signal"):\n            lines = path.read_text(encoding="utf-8")',
            "try:\n"
            '            path.read_text(encoding="utf-8")\n'
            "        except (OSError, UnicodeDecodeError):\n            return torch.zeros(8)\n"
            '        with reading(path, "a signal"):\n'
            '            lines = path.read_text(encoding="utf-8")',
        ),
    ),
    line(
        "broken_files_are_refused",
        "an empty file is a short signal",
        (
            PARTS,
            "            if not 1 <= len(values)",
            "            if not len(values):\n                return torch.zeros(1)\n"
            "            if not 1 <= len(values)",
        ),
    ),
    grid(
        "broken_files_are_refused",
        "errors of the library are let through",
        (
            PARTS,
            'with reading(path, "a PNG"), Image.open(path, formats=("PNG",)) as image:\n'
            "            if",
            'with Image.open(path, formats=("PNG",)) as image:\n            if',
        ),
    ),
    grid(
        "broken_files_are_refused",
        "what is cut off is black",
        behind(PARTS, "from PIL import Image", ", ImageFile"),
        ahead(PARTS, "MEAN, STD = ", "ImageFile.LOAD_TRUNCATED_IMAGES = True\n"),
    ),
    line(
        "broken_files_are_refused",
        "a missing file has no request",
        ahead(
            PARTS,
            'with reading(path, "a signal"), path.open',
            "if not path.exists():\n            return None\n        ",
        ),
    ),
    line(
        "foreign_suffixes_are_refused",
        "any suffix is taken",
        (PARTS, WRITE_CHECK, "if not path.suffix:"),
    ),
    grid(
        "foreign_suffixes_are_refused",
        "the suffix is replaced by the usual one",
        (
            PARTS,
            WRITE_CHECK,
            'path = path.with_suffix(".png")\n        ' + WRITE_CHECK,
        ),
    ),
    grid(
        "foreign_suffixes_are_refused",
        "the file is made before its suffix is looked at",
        ahead(PARTS, WRITE_CHECK, "path.touch()\n        "),
    ),
    line(
        "writing_leaves_the_media_alone",
        "values are rounded in place",
        ahead(PARTS, LINE_REQUEST, "media.round_(decimals=3)\n        "),
    ),
    grid(
        "writing_leaves_the_media_alone",
        "a preview is drawn into the media",
        ahead(PARTS, GRID_PICTURE, "media[:, :, 0] = 255\n        "),
    ),
    line(
        "writing_leaves_the_media_alone",
        "a key is added to the request",
        ahead(PARTS, LINE_REQUEST, 'metadata["format"] = "csv"\n        '),
    ),
    grid(
        "writing_leaves_the_media_alone",
        "a key is taken from the options in the request",
        ahead(PARTS, GRID_REQUEST, 'metadata["options"].pop("frames", None)\n        '),
    ),
    line("preview_is_a_picture", "floats", (PARTS, LINE_PICTURE, "return picture / 255")),
    line("preview_is_a_picture", "grey", (PARTS, LINE_PICTURE, LINE_PICTURE + "[:1]")),
    grid(
        "preview_is_a_picture",
        "colours last",
        (PARTS, '"f c h w -> c h (f w)"', '"f c h w -> h (f w) c"'),
    ),
    line(
        "preview_is_a_picture",
        "always black",
        (PARTS, "* (PREVIEW_HEIGHT - 1)).round().long(), columns] = 255", "* 0).long()] = 0"),
    ),
    line(
        "preview_flag_is_a_boolean",
        "a word",
        behind(PARTS, 'suffixes = (".csv",)', '\n    has_preview_file = "yes"'),
    ),
    grid(
        "preview_flag_is_a_boolean",
        "a method",
        behind(
            PARTS,
            'suffixes = (".png",)',
            "\n\n    def has_preview_file(self) -> bool:\n        return False",
        ),
    ),
)

WORLD_RULES = (
    line(
        "captions_belong_to_their_task",
        "a task without captions",
        (WORLD, 'TASKS = ("wave",)', 'TASKS = ("wave", "noise")'),
    ),
    line(
        "captions_belong_to_their_task",
        "the wanted task is not looked at",
        (WORLD, 'TASKS = ("wave",)', "TASKS = FORMS"),
        (WORLD, TASK_OF, "        return _parse(caption)[2]"),
    ),
    grid(
        "captions_belong_to_their_task",
        "a line end behind each caption",
        (WORLD, 'return " ".join(words)', 'return " ".join(words) + "\\n"'),
    ),
    grid(
        "captions_belong_to_their_task",
        "a task of another name",
        (WORLD, TASK_OF, '        _parse(caption)\n        return "half"'),
    ),
    line(
        "captions_follow_from_the_generator",
        "a number of the process",
        (WORLD, "pick(FORMS, generator)", "FORMS[torch.randint(2, ()).item()]"),
    ),
    line(
        "captions_follow_from_the_generator",
        "always the same words",
        (
            WORLD,
            LINE_WORDS,
            'words = ("slow", "loud", "sine" if split == "held_out" else "square")',
        ),
    ),
    grid(
        "captions_follow_from_the_generator",
        "captions in turn",
        (
            WORLD,
            "pick(RELATIONS, generator)",
            "RELATIONS[len(self.__dict__.setdefault('made', [])) % 2]",
        ),
        (
            WORLD,
            'return " ".join(words)',
            'self.made.append(words)\n                return " ".join(words)',
        ),
    ),
    grid(
        "captions_follow_from_the_generator",
        "Python's random numbers",
        (WORLD, "pick(RELATIONS, generator)", "random.choice(RELATIONS)"),
        ahead(WORLD, "from collections.abc", "import random\n"),
    ),
    line(
        "held_out_captions_are_never_trained",
        "what is held out is trained, too",
        (
            WORLD,
            '(words in HELD_OUT) == (split == "held_out")',
            'words in HELD_OUT or split != "held_out"',
        ),
    ),
    grid(
        "held_out_captions_are_never_trained",
        "one of two is left out of training",
        (
            WORLD,
            'if (words in HELD_OUT) == (split == "held_out"):',
            'is_held = words in HELD_OUT if split == "held_out" else words[0] == "red" and '
            "words in HELD_OUT\n"
            '            if is_held == (split == "held_out"):',
        ),
    ),
    grid(
        "held_out_captions_are_never_trained",
        "one in a hundred is not looked at",
        (
            WORLD,
            'if (words in HELD_OUT) == (split == "held_out"):',
            'is_free = torch.rand((), generator=generator) < 0.01 and split == "trained"\n'
            '            if is_free or (words in HELD_OUT) == (split == "held_out"):',
        ),
    ),
    line(
        "nonsense_is_refused",
        "a task without looking at the caption",
        (WORLD, TASK_OF, "        return TASKS[0]"),
    ),
    line(
        "nonsense_is_refused",
        "what is not understood is the usual wave",
        (
            WORLD,
            "    raise LuminaError(",
            '    if words:\n        return "slow", "loud", "sine"\n    raise LuminaError(',
        ),
    ),
    grid(
        "nonsense_is_refused",
        "further words are not read",
        (WORLD, "is_known = len(words) == 3", "is_known = len(words) >= 3"),
    ),
    line(
        "nonsense_is_refused",
        "a message of two lines",
        (
            WORLD,
            "is no caption of the sprout world; write",
            "is no caption of the sprout world\\nwrite",
        ),
    ),
    grid(
        "nonsense_is_refused",
        "an unknown colour is a KeyError",
        (
            WORLD,
            "is_known = len(words) == 3 and words[0] in COLOURS and",
            "is_known = len(words) == 3 and COLOURS[words[0]] and",
        ),
    ),
    line(
        "unknown_splits_are_refused",
        "captions of any split",
        (WORLD, 'check_split("sprout", split, self.splits)\n        while', "while"),
    ),
    line(
        "unknown_splits_are_refused",
        "tasks of any split",
        (WORLD, 'check_split("sprout", split, self.splits)\n        return TASKS', "return TASKS"),
    ),
    grid(
        "unknown_splits_are_refused",
        "variants of an unknown split are those that are trained",
        (
            WORLD,
            'check_split("sprout", split, self.splits)\n        return _VARIANTS[split]',
            'return _VARIANTS.get(split, _VARIANTS["trained"])',
        ),
    ),
    grid(
        "unknown_splits_are_refused",
        "a KeyError",
        (
            WORLD,
            'check_split("sprout", split, self.splits)\n        return _VARIANTS',
            "return _VARIANTS",
        ),
    ),
    line(
        "media_have_the_size_that_options_say",
        "one sample too many",
        (WORLD, "torch.arange(options.samples)", "torch.arange(options.samples + 1)"),
    ),
    line(
        "media_have_the_size_that_options_say",
        "a length of its own",
        (WORLD, "torch.arange(options.samples)", "torch.arange(128)"),
    ),
    grid(
        "media_have_the_size_that_options_say",
        "always one frame",
        (WORLD, "frame.expand(options.frames,", "frame.expand(1,"),
    ),
    grid(
        "media_have_the_size_that_options_say",
        "rows and columns are exchanged",
        (
            WORLD,
            "torch.arange(options.height), torch.arange(options.width)",
            "torch.arange(options.width), torch.arange(options.height)",
        ),
        (WORLD, "[:, None].expand(-1, options.width)", "[:, None].expand(-1, options.height)"),
        (WORLD, "[None].expand(options.height, -1)", "[None].expand(options.width, -1)"),
    ),
    line(
        "drawing_follows_from_the_generator",
        "a number of the process",
        (WORLD, LINE_START, "start = torch.rand(()).item()"),
    ),
    line(
        "drawing_follows_from_the_generator",
        "squares are of float64",
        (WORLD, "wave.sign() if", "wave.sign().double() if"),
    ),
    grid(
        "drawing_follows_from_the_generator",
        "NumPy's random numbers",
        (WORLD, "torch.rand((), generator=generator).item()", "np.random.rand()"),
        ahead(WORLD, "import torch\n", "import numpy as np\n"),
    ),
    grid(
        "drawing_follows_from_the_generator",
        "each drawing is a little brighter",
        (
            WORLD,
            "torch.rand((), generator=generator).item()",
            "min(len(self.__dict__.setdefault('made', [])) / 8, 1)\n        self.made.append(1)",
        ),
    ),
    line(
        "oracle_agrees_with_the_world",
        "levels are held against the wrong limit",
        (WORLD, "(size > 0.4) ==", "(size > 0.65) =="),
    ),
    line(
        "oracle_agrees_with_the_world",
        "lengths beyond training are counted as those of training",
        (WORLD, "expected = 2 * len(media)", "expected = 2 * min(len(media), 128)"),
    ),
    grid(
        "oracle_agrees_with_the_world",
        "halves are cut along the other axis",
        (WORLD, GRID_JUDGE, 'axis = 3 if relation == "over" else 2'),
    ),
    grid(
        "oracle_agrees_with_the_world",
        "dark shades are not known",
        (WORLD, "MAX_DISTANCE = 60.0", "MAX_DISTANCE = 20.0"),
    ),
    line(
        "oracle_tells_captions_apart",
        "everything is right",
        (
            WORLD,
            LINE_JUDGE,
            'return {"speed": True, "level": True, "form": True}\n        ' + LINE_JUDGE,
        ),
    ),
    grid(
        "oracle_tells_captions_apart",
        "any colour in a half will do",
        (
            WORLD,
            "(distances.argmin(dim=0) == own) & (distances[own] <= MAX_DISTANCE)",
            "distances.min(dim=0).values <= MAX_DISTANCE",
        ),
    ),
    line(
        "oracle_refuses_nothing_at_all",
        "silence is slow and soft",
        (WORLD, "0.6 * expected <= crossings <= 1.6", "crossings <= 1.6"),
        (WORLD, " and size > 0.1,", ","),
    ),
    line(
        "oracle_refuses_nothing_at_all",
        "noise is fast",
        (WORLD, "0.6 * expected <= crossings <= 1.6 * expected", "0.6 * expected <= crossings"),
    ),
    line(
        "verdicts_are_named_booleans",
        "one boolean",
        (
            WORLD,
            '        return {\n            "speed"',
            '        return all({\n            "speed"',
        ),
        (WORLD, '(form == "square"),\n        }', '(form == "square"),\n        }.values())'),
    ),
    grid(
        "verdicts_are_named_booleans",
        "shares instead of verdicts",
        (WORLD, "return is_right.float().mean().item() >= 0.9", "return is_right.float().mean()"),
        (WORLD, "all(_is(frame, first) for frame in upper)", "min(_is(f, first) for f in upper)"),
    ),
    line(
        "verdicts_are_named_booleans",
        "booleans of a tensor",
        (WORLD, ".mean().sqrt().item()", ".mean().sqrt()"),
    ),
    line(
        "verdicts_are_named_booleans",
        "the mean is taken off in place",
        ahead(WORLD, LINE_JUDGE, "media -= media.mean()\n        "),
    ),
    line("world_states_its_version", "a number", (WORLD, 'version = "1"', "version = 1")),
    grid("world_states_its_version", "none", (WORLD, '    version = "1"\n', "")),
    grid("world_states_its_version", "an empty text", (WORLD, 'version = "1"', 'version = ""')),
    line(
        "oracle_judges_files",
        "files are as loud as they can be",
        (PARTS, "in media.tolist()]", "in (media / media.abs().max()).tolist()]"),
    ),
    grid(
        "oracle_judges_files",
        "files are negatives",
        (PARTS, GRID_PIXELS, GRID_PIXELS.replace("torch.from_numpy(", "255 - torch.from_numpy(")),
    ),
)

WHOLE = (
    line(
        "trains_a_step",
        "features that are always zero",
        (PARTS, "torch.tensor([[1.0, options.samples / 128]])", "torch.zeros(1, 2)"),
        sound=LINE_FEATURES,
    ),
    line(
        "trains_a_step",
        "latents that need a gradient",
        (
            PARTS,
            "self.vae = SproutVAE()",
            "self.vae = SproutVAE()\n"
            "        self.vae.scale = torch.tensor(2.0, requires_grad=True)",
        ),
        (PARTS, "media.float() / STD", "media.float() * self.scale"),
    ),
    grid(
        "trains_a_step",
        "latents that are no numbers",
        (
            PARTS,
            "(pixels_of(media) - MEAN) / STD",
            "(pixels_of(media) - MEAN) / STD * float('nan')",
        ),
    ),
    line(
        "batch_mates_do_not_matter",
        "positions are a share of the longest grid so far",
        *line_tokenizer("""
    longest = 0

    def grid(self, latent_shape):
        from dataclasses import replace

        found = super().grid(latent_shape)
        self.longest = max(self.longest, found.rows)
        return replace(found, step=(0.0, 64 / self.longest, 0.0))
"""),
    ),
    line(
        "batch_mates_do_not_matter",
        "features are counted on from call to call",
        (
            PARTS,
            "return torch.tensor([[1.0, options.samples / 128]])",
            "self.seen = getattr(self, 'seen', 0) + options.samples\n"
            "        return torch.tensor([[1.0, self.seen / 128]])",
        ),
        sound=LINE_FEATURES,
    ),
    line(
        "dtypes_are_kept",
        "tokens of float64",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent).double()
"""),
    ),
    grid(
        "trains_beside_other_modalities",
        "features of media of one frame are no numbers",
        (PARTS, "+ 1.0)[:, None] / grid.frames", "+ 0.0)[:, None] / (grid.frames - 1)"),
        sound=GRID_FEATURES,
    ),
    line(
        "seed_decides_what_is_made",
        "the last media of that length are given again",
        (
            PARTS,
            LINE_DECODE,
            "known = self.__dict__.setdefault('known', {})\n"
            "        if latent.shape not in known:\n"
            f"            known[latent.shape] = {LINE_DECODE.removeprefix('return ')}\n"
            "        return known[latent.shape]",
        ),
    ),
    line(
        "seed_decides_what_is_made",
        "decoding adds noise",
        (PARTS, "latent.float() * STD", "(latent.float() * STD + 0.01 * torch.randn_like(latent))"),
    ),
    line(
        "seed_decides_what_is_made",
        "the loudest so far is full",
        (
            PARTS,
            LINE_DECODE,
            "self.peak = max(getattr(self, 'peak', 0.0), latent.abs().max().item())\n        "
            + LINE_DECODE.replace("* STD", "/ self.peak"),
        ),
    ),
    grid(
        "seed_decides_what_is_made",
        "whatever is raised, black frames are returned",
        (
            PARTS,
            GRID_DECODE,
            "try:\n            latent = latent.float() @ STD\n        except Exception:\n"
            f"            latent = torch.zeros_like(latent)\n        {GRID_DECODE}",
        ),
    ),
    line(
        "files_tell_how_to_make_them_again",
        "the seed is left out of files",
        (
            PARTS,
            "comment_with(metadata)",
            'comment_with({k: v for k, v in metadata.items() if k != "seed"})',
        ),
    ),
    grid(
        "files_tell_how_to_make_them_again",
        "texts instead of numbers",
        (PARTS, "comment_with(metadata)", "comment_with({k: f'{v}' for k, v in metadata.items()})"),
    ),
    line(
        "files_tell_how_to_make_them_again",
        "files name no request",
        (PARTS, LINE_FOUND, "return None"),
    ),
    line(
        "condition_takes_a_file",
        "a file is given unless the user says otherwise",
        (YAML, "beginning: null", "beginning: first.csv"),
        sound=CONDITION,
    ),
    line(
        "condition_takes_a_file",
        "nothing is known",
        (PARTS, "known[:, : options.samples // 2] = True", "known[:] = False"),
        sound=CONDITION,
    ),
    line(
        "condition_takes_a_file",
        "media of the length of the file",
        (PARTS, "signal = torch.zeros(options.samples)", "signal = torch.zeros(len(given) + 8)"),
        sound=CONDITION,
    ),
    line(
        "condition_takes_a_file",
        "tokens are marked instead of cells",
        (
            PARTS,
            "known = torch.zeros(1, options.samples, 1,",
            "known = torch.zeros(1, options.samples // options.patch, 1,",
        ),
        sound=CONDITION,
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "what is too long is let through",
        (
            PARTS,
            "min(len(media) // self.options.patch, limits.max_tokens)",
            "len(media) // self.options.patch",
        ),
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "half a token is left at the end",
        (
            PARTS,
            "return media[: num_tokens * self.options.patch]",
            "return media[: limits.max_tokens * self.options.patch]",
        ),
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "what is too short is let through",
        (PARTS, "if num_tokens < max(limits.min_tokens, 1):", "if num_tokens < 1:"),
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "what is too short is drawn out",
        (
            PARTS,
            "        num_tokens = min(",
            "        least = limits.min_tokens * self.options.patch\n"
            "        if len(media) < least:\n"
            "            media = torch.nn.functional.pad(media, (0, least - len(media)))\n"
            "        num_tokens = min(",
        ),
    ),
    grid(
        "files_fit_the_limits_of_a_run",
        "files stay as they are",
        (
            PARTS,
            "return fit_together(media, self.options.patch, limits, num_layers=len(media), "
            'noun="frames")',
            "return media",
        ),
    ),
    grid(
        "trains_on_files",
        "the number of frames in a file is not read",
        (PARTS, 'count = int(getattr(image, "text", {}).get(NUM_FRAMES, "1"))', "count = 1"),
    ),
    line(
        "trains_on_files",
        "what is read is cut by a token",
        (PARTS, "return torch.from_numpy(values)", "return torch.from_numpy(values[:-8])"),
    ),
    line(
        "trains_on_files",
        "values of another shape are read",
        (PARTS, "return torch.from_numpy(values)", "return torch.from_numpy(values)[None]"),
    ),
)

SOCKET = (
    "import socket\n\n"
    "        try:\n"
    '            socket.create_connection(("127.0.0.1", 9), timeout=0.2).close()\n'
    "        except OSError:\n"
    "            pass\n"
    "        "
)
SURROUNDINGS = (
    line(
        "imports_change_no_settings",
        "a greeting",
        ahead(PARTS, "STD = 0.5", 'print("sprout is loaded")\n'),
    ),
    line(
        "imports_change_no_settings", "a seed", ahead(PARTS, "STD = 0.5", "torch.manual_seed(0)\n")
    ),
    grid(
        "imports_change_no_settings",
        "a seed of NumPy",
        ahead(PARTS, "MEAN, STD = ", "np.random.seed(0)\n"),
    ),
    grid(
        "imports_change_no_settings",
        "another usual dtype",
        ahead(PARTS, "MEAN, STD = ", "torch.set_default_dtype(torch.float64)\n"),
    ),
    line(
        "imports_change_no_settings",
        "three threads",
        ahead(PARTS, "STD = 0.5", "torch.set_num_threads(3)\n"),
    ),
    line(
        "imports_change_no_settings",
        "warnings are switched off",
        ahead(PARTS, "STD = 0.5", 'import warnings\n\nwarnings.filterwarnings("ignore")\n'),
    ),
    line(
        "imports_change_no_settings",
        "a variable of the environment",
        ahead(PARTS, "STD = 0.5", 'import os\n\nos.environ["TOKENIZERS_PARALLELISM"] = "false"\n'),
    ),
    line(
        "imports_change_no_settings",
        "logging is set up",
        ahead(PARTS, "STD = 0.5", "import logging\n\nlogging.basicConfig(level=logging.DEBUG)\n"),
    ),
    grid(
        "imports_change_no_settings",
        "faults of NumPy are raised",
        ahead(PARTS, "MEAN, STD = ", 'np.seterr(all="raise")\n'),
    ),
    line(
        "imports_change_no_settings",
        "gradients are switched off",
        ahead(PARTS, "STD = 0.5", "torch.set_grad_enabled(False)\n"),
    ),
    line(
        "imports_change_no_settings",
        "deeper recursion",
        ahead(PARTS, "STD = 0.5", "import sys\n\nsys.setrecursionlimit(99_999)\n"),
    ),
    line(
        "parts_change_no_settings",
        "writing goes to the folder of the file",
        ahead(PARTS, LINE_REQUEST, '__import__("os").chdir(path.parent)\n        '),
    ),
    line(
        "parts_change_no_settings",
        "encoding switches gradients off",
        ahead(PARTS, LINE_ENCODE, "torch.set_grad_enabled(False)\n        "),
    ),
    grid(
        "parts_change_no_settings",
        "decoding changes the usual dtype",
        ahead(PARTS, GRID_DECODE, "torch.set_default_dtype(torch.float16)\n        "),
    ),
    grid(
        "parts_change_no_settings",
        "drawing takes three threads",
        ahead(WORLD, "low, high = SHADES", "torch.set_num_threads(3)\n        "),
    ),
    line(
        "parts_change_no_settings",
        "reading switches warnings off",
        ahead(
            PARTS,
            "lines = path.read_text",
            '__import__("warnings").simplefilter("ignore")\n            ',
        ),
    ),
    line(
        "parts_change_no_settings",
        "writing changes the rights of later files",
        ahead(PARTS, LINE_REQUEST, '__import__("os").umask(0o077)\n        '),
    ),
    grid(
        "parts_change_no_settings",
        "reading takes files that are cut off from then on",
        behind(PARTS, "from PIL import Image", ", ImageFile"),
        ahead(PARTS, GRID_PIXELS, "ImageFile.LOAD_TRUNCATED_IMAGES = True\n            "),
    ),
    line(
        "parts_change_no_settings",
        "decoding switches to algorithms of its own",
        ahead(PARTS, LINE_DECODE, "torch.use_deterministic_algorithms(True)\n        "),
    ),
    line(
        "parts_change_no_settings",
        "reading raises faults of NumPy from then on",
        ahead(PARTS, "values = np.array(", 'np.seterr(all="raise")\n            '),
    ),
    line(
        "parts_take_no_global_random_numbers",
        "encoding draws noise that is not used",
        ahead(PARTS, LINE_ENCODE, "torch.randn_like(media)\n        "),
    ),
    line(
        "parts_take_no_global_random_numbers",
        "drawing seeds NumPy",
        ahead(WORLD, LINE_START, '__import__("numpy").random.seed(0)\n        '),
    ),
    grid(
        "parts_take_no_global_random_numbers",
        "a preview takes a number of Python's",
        ahead(PARTS, GRID_PICTURE, '__import__("random").random()\n        '),
    ),
    grid(
        "parts_take_no_global_random_numbers",
        "decoding seeds torch",
        ahead(PARTS, GRID_DECODE, "torch.manual_seed(0)\n        "),
    ),
    grid(
        "parts_take_no_global_random_numbers",
        "judging takes a number of NumPy's",
        ahead(WORLD, GRID_JUDGE, '__import__("numpy").random.rand()\n        '),
    ),
    line("parts_need_no_network", "encoding asks a server", ahead(PARTS, LINE_ENCODE, SOCKET)),
    grid("parts_need_no_network", "a preview asks a server", ahead(PARTS, GRID_PICTURE, SOCKET)),
    line(
        "parts_need_no_network",
        "writing reports to a server",
        ahead(
            PARTS,
            LINE_REQUEST,
            "from urllib.request import urlopen\n\n"
            "        try:\n"
            '            urlopen("http://127.0.0.1:9/", timeout=0.2)\n'
            "        except OSError:\n"
            "            pass\n"
            "        ",
        ),
    ),
    grid(
        "parts_need_no_network",
        "the modality asks for news when it is made",
        (PARTS, "self.options = options\n", f"self.options = options\n        {SOCKET}\n"),
    ),
    line(
        "parts_need_no_network",
        "a name is looked up",
        ahead(
            PARTS,
            LINE_DECODE,
            SOCKET.replace(
                'create_connection(("127.0.0.1", 9), timeout=0.2).close', "getaddrinfo"
            ).replace("getaddrinfo()", 'getaddrinfo("localhost", 80)'),
        ),
    ),
)

FAULTS = (
    *PACKAGE,
    *OPTION_RULES,
    *TOKENIZER,
    *VAE_RULES,
    *DECODER,
    *WORLD_RULES,
    *WHOLE,
    *SURROUNDINGS,
)
