"""Faults against the rules of the contract about: world."""

from planting import (
    GRID_JUDGE,
    GRID_PIXELS,
    GRID_PLAIN,
    LINE_JUDGE,
    LINE_PLAIN,
    LINE_START,
    LINE_WORDS,
    PARTS,
    TASK_OF,
    WORLD,
    ahead,
    grid,
    line,
)

HELD_BACK = """for words in product(SPEEDS, LEVELS, FORMS) if words not in HELD_OUT)"""
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
        "nearest_captions_are_captions",
        "every text is a caption",
        (WORLD, "        return LEXICON.ranked", "        return None and LEXICON.ranked"),
    ),
    line(
        "nearest_captions_are_captions",
        "case matters",
        (WORLD, "if spoken(text) in CAPTIONS", "if text in CAPTIONS"),
    ),
    line(
        "nearest_captions_are_captions",
        "what is held out is no caption",
        (WORLD, "for words in product(SPEEDS, LEVELS, FORMS))", HELD_BACK),
    ),
    grid(
        "nearest_captions_are_captions",
        "the nearest is none",
        (
            WORLD,
            "(LEXICON.understood(text), CAPTIONS)[0]",
            "(LEXICON.understood(text), COLOURS)[0]",
        ),
    ),
    grid(
        "nearest_captions_are_captions",
        "a random caption",
        (
            WORLD,
            "LEXICON.ranked(LEXICON.understood(text), CAPTIONS)[0]",
            "CAPTIONS[torch.randint(len(CAPTIONS), ()).item()]",
        ),
    ),
    grid(
        "nearest_captions_are_captions",
        "the text itself",
        (WORLD, "LEXICON.ranked(LEXICON.understood(text), CAPTIONS)[0]", "spoken(text)"),
    ),
    line(
        "vocabularies_hold_every_word",
        "the article is no word",
        (WORLD, 'frozenset({"a", *SPEEDS', "frozenset({*SPEEDS"),
        sound=LINE_PLAIN,
    ),
    grid(
        "vocabularies_hold_every_word",
        "colours are no words",
        (WORLD, "frozenset({*COLOURS, *RELATIONS})", "frozenset(RELATIONS)"),
        sound=GRID_PLAIN,
    ),
    line(
        "plainest_captions_say_the_same",
        "always the same caption",
        (WORLD, "return f\"a {' '.join(_parse(text))}\"", "return text and CAPTIONS[0]"),
        sound=LINE_PLAIN,
    ),
    line(
        "plainest_captions_say_the_same",
        "of some captions none",
        (
            WORLD,
            "            return f\"a {' '.join(_parse(text))}\"",
            "            words = _parse(text)\n"
            "            return f\"a {' '.join(words)}\" if words[2] == 'sine' else None",
        ),
        sound=LINE_PLAIN,
    ),
    grid(
        "plainest_captions_say_the_same",
        "the other way round",
        (
            WORLD,
            '        return f"{first} {relation} {second}"',
            '        return f"{second} {relation} {first}"',
        ),
        sound=GRID_PLAIN,
    ),
    grid(
        "plainest_captions_say_the_same",
        "another second colour",
        (
            WORLD,
            '        return f"{first} {relation} {second}"',
            "        names = [*COLOURS]\n"
            "        further = names[(names.index(second) + 1) % len(names)]\n"
            '        return f"{first} {relation} {further if further != first else second}"',
        ),
        sound=GRID_PLAIN,
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
        (PARTS, GRID_PIXELS, GRID_PIXELS.replace("as_rgb(", "255 - as_rgb(")),
    ),
)
