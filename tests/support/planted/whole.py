"""Faults against the rules of the contract about: whole."""

from planting import (
    CONDITION,
    FIT,
    GRID_DECODE,
    GRID_FEATURES,
    LINE_DECODE,
    LINE_FEATURES,
    LINE_FOUND,
    OPTIONS,
    PARTS,
    WORLD,
    ahead,
    behind,
    grid,
    line,
    line_tokenizer,
)

LINE_FIT = "return super().fit(media[: num_tokens * self.options.patch], limits)"
WHOLE = (
    line(
        "members_are_named_as_in_the_base_class",
        "options of files by another name",
        ahead(
            PARTS, FIT, "    def describe(self, path, media, options):\n        return options\n\n"
        ),
    ),
    grid(
        "members_are_named_as_in_the_base_class",
        "suffixes with one letter less",
        behind(PARTS, 'suffixes = (".png",)', '\n    read_sufixes = (".png", ".apng")'),
    ),
    line(
        "members_are_named_as_in_the_base_class",
        "the nearest caption by a longer name",
        (WORLD, "def nearest(self", "def nearest_to(self"),
    ),
    line(
        "members_are_named_as_in_the_base_class",
        "features that are counted by another name",
        (
            PARTS,
            "super().__init__(options)\n",
            "super().__init__(options)\n        self.feature_dims = 2\n",
        ),
    ),
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
        self.longest = max(self.longest, found.columns)
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
        (OPTIONS, 'setting(None, "signal', 'setting("first.csv", "signal'),
        sound=CONDITION,
    ),
    line(
        "condition_takes_a_file",
        "nothing is known",
        (PARTS, "known[..., : options.samples // 2] = True", "known[:] = False"),
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
            "known = torch.zeros(1, 1, options.samples,",
            "known = torch.zeros(1, 1, options.samples // options.patch,",
        ),
        sound=CONDITION,
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "what is too long is let through",
        (PARTS, LINE_FIT, "return media[: len(media) // self.options.patch * self.options.patch]"),
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "half a token is left at the end",
        (PARTS, LINE_FIT, "return media[: limits.max_tokens * self.options.patch]"),
    ),
    line(
        "files_fit_the_limits_of_a_run",
        "what is too short is let through",
        (PARTS, LINE_FIT, "return media[: num_tokens * self.options.patch]"),
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
        "files_fit_the_limits_of_a_run",
        "frames of any proportions",
        (
            PARTS,
            "fit_together(media, self.options.patch, limits,",
            "fit_together(media, self.options.patch, "
            "SizeLimits(limits.min_tokens, limits.max_tokens, 1000.0),",
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
