"""Faults against the rules of the contract about: mishaps of writing, and broken files."""

from planting import (
    GRID_SAVE,
    LINE_FOUND,
    LINE_SAVE,
    PARTS,
    ahead,
    behind,
    grid,
    line,
)

GRID_OPENED = """with reading(path, "a PNG"), opened(path, *KIND) as image:
            if image.height"""
MISHAPS = (
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
            GRID_OPENED,
            'with Image.open(path, formats=("PNG",)) as image:\n            if image.height',
        ),
    ),
    grid(
        "broken_files_are_refused",
        "what is cut off is black",
        (
            PARTS,
            GRID_OPENED,
            'with reading(path, "a PNG"), Image.open(path, formats=("PNG",)) as image:\n'
            "            ImageFile.LOAD_TRUNCATED_IMAGES = True\n            if image.height",
        ),
        behind(PARTS, "from PIL import Image", ", ImageFile"),
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
)
