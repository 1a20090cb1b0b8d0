"""Files that hold captions: metadata and manifests with many, a text beside a medium with one.

Lumina's JSON is read as the released trainers read it (released_models.md 3.2), but for addresses
(`s3://`).
"""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.files.reading import open_regular, parse_json, read_regular
from lumina_core.records import MAX_TEXT

MAX_LIST_BYTES = 1 << 30  # of a JSON list, which is read as a whole: some three million records
MAX_RECORD_BYTES = 1 << 20  # of a line
MAX_TEXT_BYTES = 1 << 16  # of a text file with one caption
PATH_NAMES = ("path", "image", "image_path", "image_url", "file_name")
CAPTION_NAMES = ("caption", "captions", "prompt", "text", "super_high_quality_caption")
"""Names in a record; the first that is there counts. The last is that of Lumina-Image-2.0."""
CONVERSATIONS = "conversations"
PARQUET_ROWS = 4096  # read at a time

ANSWERS = "gpt"  # who says the caption in Lumina's `conversations`

Records = Iterator[tuple[int, Any]]


def json_lines(path: Path) -> Records:
    """Number and value of each line that is not blank; an Exception for one that is no JSON.

    Raises:
        LuminaError: the file cannot be read, as of all here.
    """
    for number, line in enumerate(_lines(path), start=1):
        if line is None:
            yield number, ValueError(f"it has more than {MAX_RECORD_BYTES} bytes")
        elif line.strip():
            yield number, _json_value(line)


def json_list(path: Path) -> Records:
    """Number and value of each entry.

    Raises:
        LuminaError: the file is no JSON list.
    """
    try:
        with _naming(path):
            records = parse_json(read_regular(path, MAX_LIST_BYTES))
    except ValueError as error:
        raise LuminaError(f"data.path={path} is no JSON: {reason_of(error)}") from error
    if not isinstance(records, list):
        raise LuminaError(f"data.path={path} holds no list; a list of records is wanted")
    yield from enumerate(records, start=1)


def table(path: Path) -> Records:
    """Number of the last line and values by column of each row; the first line names the columns.

    Commas separate the columns. An Exception stands for a row that cannot be read.
    """
    rows = csv.reader(_text_lines(path))
    columns = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except (csv.Error, ValueError) as error:
            yield rows.line_num, ValueError(f"it is no row of a table: {reason_of(error)}")
            continue
        if columns is None:
            columns = [name.strip() for name in row]
        elif row:
            yield rows.line_num, dict(zip(columns, row, strict=False))


def parquet(path: Path) -> Records:
    """Number and values by column of each row, of the columns that name a file or hold captions.

    Raises:
        LuminaError: pyarrow is not there, the file is no Parquet, or no column names files.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise LuminaError(
            f"data.path={path} is Parquet, which pyarrow reads: pip install 'lumina-core[parquet]'"
        ) from error
    try:
        with _naming(path), open_regular(path) as file:
            table = ParquetFile(file)
            schema = table.schema_arrow
            known = (*PATH_NAMES, *CAPTION_NAMES, CONVERSATIONS)
            columns = [name for name in schema.names if name in known]
            names = [name for name in PATH_NAMES if name in columns]
            if not names or str(schema.field(names[0]).type) not in ("string", "large_string"):
                found = printable(", ".join(schema.names), MAX_REASON)
                raise LuminaError(
                    f"data.path={path} has the columns {found}; one of {', '.join(PATH_NAMES)} "
                    "with paths is wanted. Write media that lie in a table as tar shards"
                )
            number = 0
            for batch in table.iter_batches(PARQUET_ROWS, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except ArrowException as error:
        raise LuminaError(f"data.path={path} is no Parquet: {reason_of(error)}") from error


def _text_lines(path: Path) -> Iterator[str]:
    """The lines of a file; what is no UTF-8 is left to whoever looks at a caption."""
    too_long = "x" * (csv.field_size_limit() + 1)  # is refused, as the line that it stands for
    for number, line in enumerate(_lines(path)):
        text = too_long if line is None else line.decode("utf-8", "surrogateescape")
        yield text if number else text.removeprefix("\ufeff")


def _json_value(line: bytes) -> Any:
    """The value of a line; an Exception for one that is no JSON."""
    try:
        return parse_json(line)
    except ValueError as error:
        return ValueError(f"it is no JSON: {reason_of(error)}")


def _lines(path: Path) -> Iterator[bytes | None]:
    """The lines of a file with their ends; None for one of more than MAX_RECORD_BYTES."""
    with _naming(path), open_regular(path) as file:
        while line := file.readline(MAX_RECORD_BYTES + 1):
            is_long = len(line) > MAX_RECORD_BYTES
            yield None if is_long else line
            while is_long and line and not line.endswith(b"\n"):
                line = file.readline(MAX_RECORD_BYTES)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LuminaError(f"data.path: {path} cannot be read: {error.strerror}") from error


def file_name(record: Any) -> str:
    """The path in a record, as it stands there.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(record, Mapping):
        raise ValueError("it is no record of path and caption")
    name = next((record[key] for key in PATH_NAMES if key in record), None)
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"it names no file; one of {', '.join(PATH_NAMES)} is wanted")
    _check_unicode(name, "the path")
    return PurePath(name).as_posix()


def captions_in(record: Mapping[str, Any]) -> list[str]:
    """The captions in a record, each on one line: plain, several in a list, or the last answer of a
    conversation.

    Raises:
        ValueError: there is none, or one is empty or no text.
    """
    turns = record.get(CONVERSATIONS)
    if isinstance(turns, list):
        answers = [t for t in turns if isinstance(t, Mapping) and t.get("from") == ANSWERS]
        return [_checked(answers[-1].get("value") if answers else None)]
    found = next((record[key] for key in CAPTION_NAMES if record.get(key) is not None), None)
    return (
        [_checked(each) for each in found]
        if found and isinstance(found, list)
        else [_checked(found)]
    )


def caption_of(path: Path) -> str:
    """The caption in a text file, on one line.

    Raises:
        ValueError: it cannot be read, is empty, or no text.
    """
    try:
        content = read_regular(path, MAX_TEXT_BYTES)
    except OSError as error:
        raise ValueError(f"its caption in {path.name} cannot be read: {error.strerror}") from error
    return caption_text(content, path.name)


def caption_text(content: bytes, name: str) -> str:
    """The caption that is the whole content of a file of this name, on one line.

    Raises:
        ValueError: it is empty, or no text.
    """
    try:
        return _checked(content.decode("utf-8-sig"))
    except UnicodeError as error:
        raise ValueError(f"its caption in {name} is no valid UTF-8") from error


def _checked(caption: Any) -> str:
    if caption is None:
        raise ValueError("it has no caption")
    if not isinstance(caption, str):
        raise ValueError(f"its caption is no text but {type(caption).__name__}")
    _check_unicode(caption, "its caption")
    text = " ".join(caption.split())
    if not text:
        raise ValueError("its caption is empty")
    if len(text) > MAX_TEXT:
        raise ValueError(f"its caption has {len(text)} characters; at most {MAX_TEXT} are read")
    return text


def _check_unicode(text: str, what: str) -> None:
    """JSON may hold half a character, which no tokenizer and no file system takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} is no valid text") from error
