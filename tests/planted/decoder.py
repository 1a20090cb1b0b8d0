"""Faults against the rules of the contract about: decoder."""

from planting import (
    BOOLEAN,
    DARK,
    GRID_PICTURE,
    GRID_PIXELS,
    GRID_REQUEST,
    GRID_SAVE,
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
        "full_disk_leaves_nothing",
        "an error that is not the user's",
        (
            PARTS,
            LINE_SAVE,
            "        try:\n"
            "            with atomic_write(path) as file:\n"
            '                file.write(("\\n".join(lines) + "\\n").encode())\n'
            "        except LuminaError as error:\n"
            '            raise AssertionError("not written") from error\n',
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
        ahead(
            PARTS,
            "if image.height > MAX_SIDE",
            "ImageFile.LOAD_TRUNCATED_IMAGES = True\n            ",
        ),
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
        "broken_files_are_refused",
        "what is no text has a request that is no error of the user's",
        (
            PARTS,
            'with reading(path, "a signal"), path.open(encoding="utf-8") as file:',
            "if not path.is_file():\n"
            '            raise LuminaError(f"{path} is no file")\n'
            '        with path.open(encoding="utf-8") as file:',
        ),
    ),
    line(
        "broken_files_are_refused",
        "the request of an empty file is an empty text",
        (
            PARTS,
            LINE_FOUND,
            "line = file.readline()\n            "
            + LINE_FOUND.replace("file.readline()", "line")
            + " if line else line",
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
