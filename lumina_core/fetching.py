"""Fetches files of the hub's repositories into its cache: whole, verified, resumed where it broke.

huggingface_hub does the requests and links what is fetched into its cache, so that every program
finds it there. What it has of a file it drops when it is interrupted; here that stays, and the next
fetch asks for the missing bytes alone.
"""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from threading import Event
from typing import IO, TYPE_CHECKING, NamedTuple

from lumina_core.errors import (
    MAX_REASON,
    NO_SPACE,
    LuminaError,
    printable,
    reason_of,
    when_interrupted,
)
from lumina_core.files.locks import sole_process
from lumina_core.files.writing import atomic_write
from lumina_core.hub_cache import COMMIT, MAIN, repository_folder
from lumina_core.terminal import progress_bar, size_text

if TYPE_CHECKING:
    from rich.progress import Progress

STAYS = "what was fetched stays, and the same command goes on from there"
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # of git, or SHA-256
_SHA256_LENGTH = 64
PIPELINE, WEIGHTS = "model_index.json", ".safetensors"
"""Where the first stands, the parts of a model have folders; weights beside it are these again."""

_MAX_TRIES = 5  # in a row that bring nothing
_SECONDS_BETWEEN = 1.0
STREAMS = 4  # files at a time
_MAX_SHOWN = 60  # characters of a file beside its bar
_MAX_NAMED = 8  # files of a repository in a message


class UnreachableError(LuminaError):
    """There is no way to the hub now."""


class Want(NamedTuple):
    """What is wanted of one repository."""

    hub_id: str
    revision: str | None = None
    """Commit, branch or tag; None: the main branch."""
    folder: str | None = None
    """In which the files lie, empty: at the top; None: anywhere."""
    files: tuple[str, ...] = ("*",)
    """Names, or patterns of them."""
    needed: tuple[str, ...] = ()
    """Those of `files` that must be there, a pattern once at least."""

    def takes(self, name: str, patterns: Sequence[str]) -> bool:
        """Whether a file of the repository fits one of these patterns."""
        if self.folder is not None:
            folder, _, name = name.rpartition("/")
            if folder != self.folder:
                return False
        return any(fnmatchcase(name, pattern) for pattern in patterns)


class _File(NamedTuple):
    """A file as the hub lists it."""

    hub_id: str
    commit: str
    name: str
    size: int
    digest: str
    """Of its content: SHA-256, or that of git where it is small. So the cache names it, too."""

    @property
    def place(self) -> Path:
        """Where programs find it."""
        return repository_folder(self.hub_id) / "snapshots" / self.commit / self.name

    @property
    def content(self) -> Path:
        """Where its content is."""
        return repository_folder(self.hub_id) / "blobs" / self.digest

    @property
    def begun(self) -> Path:
        """Where its content is as long as it is not whole."""
        return self.content.with_name(f"{self.digest}.incomplete")

    @property
    def num_there(self) -> int:
        """Bytes of its content that are there."""
        return next((p.stat().st_size for p in (self.content, self.begun) if p.exists()), 0)


def fetch(wants: Sequence[Want]) -> list[Path]:
    """Fetch what is not on disk yet. Before anything is fetched, all is known to be allowed.

    Args:
        wants: of each repository.

    Returns:
        For each the folder of the hub's cache in which its files lie as in the repository.

    Raises:
        UnreachableError: there is no way to the hub.
        LuminaError: a repository or a file is not there, not allowed or damaged, or the disk is too
            small. What was fetched stays.
    """
    with ExitStack() as stack:
        stack.enter_context(_without_bars())
        stack.enter_context(when_interrupted(lambda: f"({STAYS})"))
        listed = {want[:2]: _listed(*want[:2]) for want in wants}
        files = {file: None for want in wants for file in _chosen(want, listed[want[:2]])}
        absent = [file for file in files if not file.place.exists()]
        missing = sorted(absent, key=lambda file: file.size)  # weights are linked last
        for hub_id in sorted({file.hub_id for file in missing}):
            folder = repository_folder(hub_id)
            lock = folder.parent / ".locks" / folder.name / "lumina.lock"
            stack.enter_context(sole_process(lock, f"the cache of {hub_id}"))
        _check_allowed(missing)
        _check_space(missing)
        _fetch_files(missing)
        for want in wants:
            _note_commit(want, listed[want[:2]])
    return [_snapshot_of(want, listed[want[:2]]) for want in wants]


def _listed(hub_id: str, revision: str | None) -> list[_File]:
    """The files of a repository."""
    from huggingface_hub import HfApi

    with _told(hub_id):
        info = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
    commit = info.sha or ""
    files = []
    for each in info.siblings or []:
        digest = each.lfs.sha256 if each.lfs else each.blob_id
        path = PurePosixPath(each.rfilename)
        is_fine = _DIGEST.fullmatch(digest or "") and not path.is_absolute()
        if not (is_fine and ".." not in path.parts and COMMIT.fullmatch(commit)):
            name = printable(each.rfilename, MAX_REASON)
            raise LuminaError(f"{hub_id} lists {name!r}, which is no file of a repository")
        files.append(_File(hub_id, commit, each.rfilename, each.size or 0, str(digest)))
    return files


def _chosen(want: Want, files: list[_File]) -> list[_File]:
    """What is wanted of a repository."""
    found = [file for file in files if want.takes(file.name, want.files)]
    if want.folder is None and any(file.name == PIPELINE for file in found):
        found = [file for file in found if "/" in file.name or not file.name.endswith(WEIGHTS)]
    absent = [each for each in want.needed if not any(want.takes(f.name, [each]) for f in files)]
    if absent or not found:
        names = ", ".join(file.name for file in files[:_MAX_NAMED]) or "none"
        more = ", ..." if len(files) > _MAX_NAMED else ""
        what = "/".join(filter(None, [want.folder, (absent or want.files)[0]]))
        raise LuminaError(
            f"{want.hub_id} has no file {printable(what, MAX_REASON)}, which is wanted; it has "
            f"{printable(names, MAX_REASON)}{more}"
        )
    return found


def _check_allowed(missing: list[_File]) -> None:
    """Ask for the head of one file of each repository: the list of files needs no permission."""
    from huggingface_hub import get_hf_file_metadata

    for file in {file.hub_id: file for file in missing}.values():
        with _told(file.hub_id):
            get_hf_file_metadata(_url(file))


def _check_space(missing: list[_File]) -> None:
    wanted = sum(file.size - file.num_there for file in missing)
    for file in missing[:1]:  # all go into one cache
        folder = repository_folder(file.hub_id).parent
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if wanted > free:
            raise LuminaError(
                f"{size_text(wanted)} are to be fetched into {folder}, and {size_text(free)} are "
                "free there; make room, or set HF_HOME to a folder on a larger disk"
            )


def _fetch_files(missing: list[_File]) -> None:
    """Fetch the contents, some at a time, and link them to their places once all are there."""
    from huggingface_hub import hf_hub_download
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    contents = {file.content: file for file in missing if not file.content.exists()}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
    is_over = Event()
    with progress_bar(*columns, TimeRemainingColumn()) as bar, ThreadPoolExecutor(STREAMS) as pool:
        streams = [pool.submit(_fetch_content, each, bar, is_over) for each in contents.values()]
        try:
            for stream in as_completed(streams):
                stream.result()
        except BaseException:  # Ctrl-C among them: the others end at their next bytes
            is_over.set()
            pool.shutdown(cancel_futures=True)
            raise
    for file in missing:
        with _told(file.hub_id):
            hf_hub_download(file.hub_id, file.name, revision=file.commit)  # finds the content


def _fetch_content(file: _File, bar: "Progress", is_over: Event) -> None:
    text = printable(f"{file.hub_id}: {file.name}", _MAX_SHOWN).replace("[", r"\[")
    task = bar.add_task(text, total=file.size, completed=file.num_there)

    def count(num_bytes: int) -> None:
        if is_over.is_set():
            raise _OverError
        bar.advance(task, num_bytes)

    with _told(file.hub_id):
        file.begun.parent.mkdir(parents=True, exist_ok=True)
        with file.begun.open("ab") as target:
            _fetch_bytes(file, target, count)
            num_bytes = target.tell()
        if num_bytes != file.size or _digest_of(file) != file.digest:
            file.begun.unlink()
            raise LuminaError(
                f"{file.name} of {file.hub_id} came damaged, {num_bytes} bytes of {file.size}, and "
                "was thrown away; give the same command again"
            )
        file.begun.replace(file.content)


class _OverError(Exception):
    """Another stream failed, or the user interrupted."""


def _fetch_bytes(file: _File, target: IO[bytes], count: Callable[[int], None]) -> None:
    """Fetch the bytes that are missing, also over a connection that breaks now and then.

    Args:
        file: which.
        target: what there is of it; bytes are put behind.
        count: is told how many came, and how many were given up.
    """
    from huggingface_hub.errors import HfHubHTTPError

    num_tries, num_bytes = 0, -1
    while target.tell() < file.size:
        num_tries = num_tries + 1 if target.tell() == num_bytes else 1
        num_bytes = target.tell()
        try:
            _fetch_rest(file, target, count)
        except (OSError, HfHubHTTPError, _OverError):  # of the disk, or said by the hub
            raise
        except Exception:  # of the connection
            if num_tries == _MAX_TRIES:
                raise
            time.sleep(_SECONDS_BETWEEN)
        else:
            break


def _fetch_rest(file: _File, target: IO[bytes], count: Callable[[int], None]) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

    begin = target.tell()
    headers = build_hf_headers() | {"Accept-Encoding": "identity", "Range": f"bytes={begin}-"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with http_stream_backoff("GET", _url(file), headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:  # all of it comes
            count(-begin)
            target.truncate(0)
        for chunk in response.iter_bytes():
            target.write(chunk)
            count(len(chunk))


def _digest_of(file: _File) -> str:
    """The hash of what there is of a file, of the kind that the hub has of it."""
    if len(file.digest) == _SHA256_LENGTH:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with file.begun.open("rb") as content:
        return hashlib.file_digest(content, lambda: digest).hexdigest()


def _url(file: _File) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(file.hub_id, file.name, revision=file.commit)


def _snapshot_of(want: Want, files: list[_File]) -> Path:
    return repository_folder(want.hub_id) / "snapshots" / files[0].commit


def _note_commit(want: Want, files: list[_File]) -> None:
    """Note which commit a branch or tag is, once all is there, for those without network."""
    revision = want.revision or MAIN
    if COMMIT.fullmatch(revision):
        return
    path = repository_folder(want.hub_id) / "refs" / revision
    if not path.is_file() or path.read_text() != files[0].commit:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(files[0].commit.encode())


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep huggingface_hub from showing bars beside ours, or in logs."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    was_quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not was_quiet:
            enable_progress_bars()


@contextmanager
def _told(hub_id: str) -> Iterator[None]:
    """Say in one line what the hub, the network or the disk refuses of a repository."""
    from huggingface_hub import errors

    try:
        yield
    except LuminaError:
        raise
    except errors.GatedRepoError as error:
        raise LuminaError(
            f"{hub_id} is for those who accept its licence: open https://huggingface.co/{hub_id}, "
            "accept it there, and log in with: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise LuminaError(
            f"{hub_id} has no such revision on the hub; upgrade its plugin"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise LuminaError(
            f"{hub_id!r} cannot be downloaded: the hub knows no such model, or shows it to some "
            "only; check the name, or log in with: hf auth login"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise LuminaError(
            f"{hub_id!r} cannot be downloaded: the hub answers {status}; try again later, {STAYS}"
        ) from error
    except OSError as error:
        if error.errno in NO_SPACE:
            folder = repository_folder(hub_id)
            raise LuminaError(
                f"{folder} cannot be written: {error.strerror}; make room: {STAYS}"
            ) from error
        raise _broken(hub_id, error) from error
    except Exception as error:  # network: what the hub's client meets there differs a lot
        raise _broken(hub_id, error) from error


def _broken(hub_id: str, error: Exception) -> UnreachableError:
    return UnreachableError(f"{hub_id!r} cannot be downloaded: {reason_of(error)}; {STAYS}")
