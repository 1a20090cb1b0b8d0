"""Faults against the rules of the contract about: options."""

from planting import (
    GRID_CHECK,
    GRID_FEATURES,
    LINE_CHECK,
    LINE_FEATURES,
    LINE_GRID,
    MARKS,
    OPTIONS,
    PARTS,
    YAML,
    ahead,
    behind,
    grid,
    line,
)

REFUSED = """if options.samples % self.options.patch:
            raise LuminaError(f"modality.samples={{options.samples}}: {}")"""
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
        "recommendations_compose",
        "an option that the YAML sets",
        ahead(YAML, "sampling:", "samples: 64\n"),
    ),
    line(
        "recommendations_compose",
        "a key that nothing reads",
        ahead(YAML, "sampling:", "rate: 8000\n"),
    ),
    line("defaults_make_options", "no default", (OPTIONS, ' 8, "length', ' None, "length')),
    grid("defaults_make_options", "a word for a number", (OPTIONS, '4, "both', '"four", "both')),
    line(
        "defaults_make_options",
        "a default out of its own bounds",
        (OPTIONS, "at_least=1, at_most=LONGEST, fixed", "at_least=9, fixed"),
    ),
    line("recommendations_compose", "a misspelt key", (YAML, "num_steps: 16", "num_step: 16")),
    grid("recommendations_compose", "an optimizer that there is not", (YAML, "muon", "sgd")),
    grid("recommendations_compose", "no number", (YAML, "max_steps: 600", "max_steps: many")),
    line("recommendations_compose", "steps below zero", (YAML, "num_steps: 16", "num_steps: -16")),
    line(
        "absurd_options_are_refused",
        "one option is not checked",
        (OPTIONS, "at_least=1, at_most=LONGEST, fixed", "fixed"),
    ),
    line(
        "absurd_options_are_refused",
        "no upper bound",
        (OPTIONS, ", at_most=LONGEST)", ")"),
    ),
    grid(
        "absurd_options_are_refused",
        "no check of frames",
        (OPTIONS, ", at_least=1, at_most=MAX_FRAMES", ""),
    ),
    grid(
        "absurd_options_are_refused",
        "a message without the key",
        (OPTIONS, "modality.{key}={value} is", "{value} is"),
        sound=GRID_CHECK,
    ),
    line(
        "absurd_options_are_refused",
        "a message of two lines",
        (OPTIONS, "is out of range; use", "is out of range\\nuse"),
        sound=LINE_CHECK,
    ),
    line(
        "absurd_options_are_refused",
        "an error that is not the user's",
        (OPTIONS, "raise LuminaError(", "raise ValueError("),
        sound=LINE_CHECK,
    ),
    line(
        "absurd_options_are_refused",
        "nan is not below zero",
        (OPTIONS, None, '    gain: float = setting(1.0, "loudness", unit="times")\n'),
        behind(
            OPTIONS,
            "def __post_init__(self) -> None:\n",
            "        if self.gain < 0 or self.gain > 10:\n"
            '            raise LuminaError(f"modality.gain={self.gain} is out of range")\n',
        ),
        sound=LINE_CHECK,
    ),
    line(
        "absurd_options_are_refused",
        "no samples at all",
        (OPTIONS, "not 1 <= value", "not 0 <= value"),
        sound=MARKS + LINE_CHECK,
    ),
    grid(
        "absurd_options_are_refused",
        "a length below zero is the usual one",
        (OPTIONS, "not 1 <= value", "value != -1 and not 1 <= value"),
        sound=GRID_CHECK,
    ),
    line(
        "absurd_options_are_refused",
        "one of several numbers is not looked at",
        (
            OPTIONS,
            None,
            '    gains: tuple[float, ...] = setting((1.0,), "loudness of each channel")\n',
        ),
        sound=LINE_CHECK,
    ),
    grid(
        "illegal_sizes_name_legal_ones",
        "a width is rounded down",
        (
            PARTS,
            "check_multiple(options.height, options.width, self.options.patch)\n"
            "        return options.frames, NUM_COLOURS, options.height, options.width",
            "width = options.width // self.options.patch * self.options.patch\n"
            "        check_multiple(options.height, width, self.options.patch)\n"
            "        return options.frames, NUM_COLOURS, options.height, width",
        ),
    ),
    grid(
        "illegal_sizes_name_legal_ones",
        "a height is rounded up",
        (
            PARTS,
            "check_multiple(options.height, options.width, self.options.patch)\n"
            "        return options.frames, NUM_COLOURS, options.height, options.width",
            "height = -(-options.height // self.options.patch) * self.options.patch\n"
            "        check_multiple(height, options.width, self.options.patch)\n"
            "        return options.frames, NUM_COLOURS, height, options.width",
        ),
    ),
    grid(
        "illegal_sizes_name_legal_ones",
        "a size that does not fit is an error of the program",
        (
            PARTS,
            "check_multiple(options.height, options.width, self.options.patch)",
            "assert not options.height % self.options.patch",
        ),
    ),
    line(
        "illegal_sizes_name_legal_ones",
        "the size named is one too many",
        (PARTS, LINE_GRID, REFUSED.format("use {options.samples // 8 * 8 + 1}")),
    ),
    line(
        "illegal_sizes_name_legal_ones",
        "the patch alone is named",
        (PARTS, LINE_GRID, REFUSED.format("use {self.options.patch}")),
    ),
    line(
        "illegal_sizes_name_legal_ones",
        "no size is named",
        (PARTS, LINE_GRID, REFUSED.format("it does not fit")),
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
