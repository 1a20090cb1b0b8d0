"""Faults against the rules of the contract about: package."""

from planting import (
    IMPORTS,
    LINE_ENCODE,
    OPTIONS,
    PARTS,
    PLUGIN,
    SETUP,
    WORLD,
    ahead,
    behind,
    grid,
    line,
)

MODEL = """\
meaning: sprouts of all kinds
prompt: a sprout
modality: sprout
family: flag_dit
layout: released
hub_id: owner/sprouts
licence: {name: MIT}
backbone: {num_parameters: 1, num_bytes: 2}
vae: {num_parameters: 1, num_bytes: 2}
options: {}
trained:
  - {}
sampling:
  solver: {num_steps: 3}
"""
"""The description of a model of the templates' modality."""

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
            "from lumina_core import Options, setting\n",
            "from lumina_core.media.pixels import NUM_COLOURS\n",
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
        "core_version_is_bounded",
        "a bound of Python instead of the core",
        (SETUP, "lumina-core>=0.1,<0.2", "lumina-core>=0.1;python_version<'4'"),
    ),
    line(
        "core_version_is_bounded",
        "bounded for another system only",
        (SETUP, "lumina-core>=0.1,<0.2", "lumina-core>=0.1,<0.2;sys_platform=='win32'"),
    ),
    line(
        "api_is_a_literal",
        "the core's own constant",
        (PLUGIN, "api=(3, 0)", "api=PLUGIN_API"),
        ahead(PLUGIN, "\n@hookimpl", "from lumina_core.modality import PLUGIN_API\n"),
    ),
    grid(
        "api_is_a_literal",
        "the core's major number and one of its own",
        (PLUGIN, "api=(3, 0)", "api=(modality.PLUGIN_API[0], 0)"),
        ahead(PLUGIN, "\n@hookimpl", "from lumina_core import modality\n"),
    ),
    line(
        "api_is_a_literal",
        "the core's constant under another name",
        (PLUGIN, "api=(3, 0)", "api=API"),
        ahead(PLUGIN, "\n@hookimpl", "from lumina_core.modality import PLUGIN_API as API\n"),
    ),
    line(
        "summary_is_one_line",
        "a summary of one word",
        (SETUP, "Text to signals (CSV), a modality of lumina-core", "Signals"),
    ),
    grid(
        "summary_is_one_line",
        "no summary",
        (SETUP, "Text to frames (PNG), a modality of lumina-core", ""),
    ),
    line(
        "summary_is_one_line",
        "a summary that is still to be written",
        (SETUP, "Text to signals (CSV), a modality of lumina-core", "Summary"),
    ),
    line(
        "summary_is_one_line",
        "a package without description",
        (SETUP, "Text to signals (CSV), a modality of lumina-core", ""),
    ),
    line(
        "every_option_is_explained",
        "no meaning",
        (OPTIONS, '8, "length of a token", unit', "8, unit"),
    ),
    grid(
        "every_option_is_explained",
        "an empty meaning",
        (OPTIONS, '"both sides of a token"', '" "'),
    ),
    grid(
        "every_option_is_explained",
        "a unit and no meaning",
        (OPTIONS, '"how many", unit="frames"', '"", unit="frames"'),
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
    grid(
        "models_are_described",
        "a model without a licence",
        (SETUP, "conf/modality/*.yaml", "conf/*/*.yaml"),
        ("lumina_sprout/conf/model/large.yaml", None, MODEL.replace("licence: {name: MIT}\n", "")),
    ),
    line(
        "models_are_described",
        "a trained size that the modality has not",
        (SETUP, "conf/modality/*.yaml", "conf/*/*.yaml"),
        ("lumina_sprout/conf/model/large.yaml", None, MODEL.replace("- {}", "- {depth: 9}")),
    ),
    line(
        "models_are_described",
        "a recommendation of something else than sampling",
        (SETUP, "conf/modality/*.yaml", "conf/*/*.yaml"),
        ("lumina_sprout/conf/model/large.yaml", None, f"{MODEL}  device: cuda\n"),
    ),
    grid(
        "models_are_described",
        "a name that nobody can write",
        (SETUP, "conf/modality/*.yaml", "conf/*/*.yaml"),
        ("lumina_sprout/conf/model/Large-1.yaml", None, MODEL),
    ),
    line(
        "only_public_names_are_imported",
        "a private name",
        behind(PARTS, IMPORTS, "from lumina_core.files.writing import _make_readable\n"),
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
        behind(WORLD, IMPORTS, "from lumina_core.sampling import sample as sampling\n"),
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
    line(
        "only_public_names_are_imported",
        "a private name of a public module",
        behind(PARTS, IMPORTS, "from lumina_core.media.containers import _faults\n"),
    ),
    line(
        "only_public_names_are_imported",
        "an attribute that is not public",
        behind(PARTS, IMPORTS, "import lumina_core\n\nREASON = lumina_core.errors.reason_of\n"),
    ),
    grid(
        "only_public_names_are_imported",
        "an attribute under another name",
        behind(PARTS, IMPORTS, "import lumina_core as core\n\nREASON = core.plugins\n"),
    ),
    line(
        "only_public_names_are_imported",
        "a module that is no Python",
        ("lumina_sprout/old.py", None, "def (:\n"),
    ),
)
