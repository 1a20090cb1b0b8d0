"""Faults against the rules of the contract about: decoder."""

from planting import (
    BOOLEAN,
    DARK,
    GRID_PICTURE,
    GRID_PIXELS,
    GRID_REQUEST,
    LINE_FOUND,
    LINE_PICTURE,
    LINE_REQUEST,
    LINE_SAVE,
    PARTS,
    WRITE_CHECK,
    ahead,
    behind,
    grid,
    line,
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
        (PARTS, GRID_PIXELS, GRID_PIXELS + ".flip(0)"),
    ),
    grid(
        "files_hold_the_media",
        "columns of all frames are mixed",
        (PARTS, '"c h (f w) -> f c h w"', '"c h (w f) -> f c h w"'),
    ),
    grid(
        "files_hold_the_media",
        "a second kind of file holds nothing, which is little less than the dark media",
        (PARTS, 'suffixes = (".png",)', 'suffixes = (".png", ".dark")'),
        ahead(
            PARTS, "image = Image.fromarray", 'media = media * (path.suffix != ".dark")\n        '
        ),
        sound=DARK,
    ),
    line(
        "files_hold_the_media",
        "a first value of two is lost",
        (PARTS, "from_numpy(values > 0.5)", "from_numpy(values > 0.5)[1:]"),
        sound=BOOLEAN,
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
        "nothing_else_is_written",
        "a copy among temporary files",
        (PARTS, LINE_SAVE, LINE_SAVE + "        shutil.copy(path, tempfile.mkdtemp())\n"),
        ahead(PARTS, "from collections", "import shutil\nimport tempfile\n"),
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
        "the second of writing",
        (PARTS, LINE_REQUEST, LINE_REQUEST + 'f"# {int(time())}", '),
        ahead(PARTS, "from pathlib", "from time import time\n"),
    ),
    line(
        "equal_requests_make_equal_files",
        "the minute of writing",
        (PARTS, LINE_REQUEST, LINE_REQUEST + "f\"# {strftime('%H:%M')}\", "),
        ahead(PARTS, "from pathlib", "from time import strftime\n"),
    ),
    grid(
        "equal_requests_make_equal_files",
        "the year of writing",
        behind(
            PARTS, GRID_REQUEST, '\n        texts.add_itxt("Rights", f"(c) {datetime.now():%Y}")'
        ),
        ahead(PARTS, "from io ", "from datetime import datetime\n"),
    ),
    line(
        "equal_requests_make_equal_files",
        "what gzip says of its time",
        (PARTS, LINE_REQUEST, LINE_REQUEST + "f\"# {gzip.compress(b'lumina').hex()}\", "),
        ahead(PARTS, "from collections", "import gzip\n"),
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
        "foreign_suffixes_are_refused",
        "any suffix is taken",
        (PARTS, WRITE_CHECK, "pass"),
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
    grid(
        "preview_is_a_picture",
        "black but for one pixel",
        (
            PARTS,
            GRID_PICTURE,
            "picture = torch.zeros(3, media.shape[2], media.shape[3], dtype=torch.uint8)\n"
            "        picture[:, 0, 0] = media[0, :, 0, 0]\n        return picture",
        ),
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
