"""Writes whole files or nothing: a temporary name, then a rename into place."""

from collections.abc import Iterator
import contextlib
import errno
import os
from pathlib import Path
import re
import shutil
import tempfile
import time
import uuid

from etils import epath

from cellrec_jax import errors

_ADVICE = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that can be written to",
    errno.EPERM: "choose a folder that can be written to",
    errno.EISDIR: "a folder of that name is in the way",
    errno.ENOTDIR: "a file is in the way of its folder",
    errno.EEXIST: "a file is in the way of its folder",
}
_FOLDER = re.compile(r"\.tmp-[0-9a-f]{32}")
_LEFT = re.compile(r"\.tmp-[0-9a-f]{32}(\..*)?")
_OLD_S = 24 * 3600.0


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path that becomes `path` when the block ends well, or goes.

    It keeps the suffix (some writers choose the format by it), hidden in the same
    folder (made if missing), or for an object store in the system's. Readers see the
    old file or the new one, never a part. Only write inside the block: any `OSError`
    there becomes a RunError for `path`.
    """
    with naming(path), pending_path(path) as temporary:
        yield temporary


@contextlib.contextmanager
def pending_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `atomic_path`, for a block that does other things, too.

    An `OSError` of the block stays as it is: what it writes, it writes under `naming`.
    """
    target = epath.Path(path)
    stored = "://" in os.fspath(target)
    folder = Path(tempfile.gettempdir() if stored else target.parent)
    # A short name of its own: prefixing a 250-byte name would make it too long.
    temporary = folder / f".tmp-{uuid.uuid4().hex}{target.suffix}"
    with naming(path):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with naming(path):
            if stored:
                epath.Path(temporary).copy(target, overwrite=True)
            else:
                os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an `OSError` of the block into a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        raise _failure(path, error) from error


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[epath.Path]:
    """As `atomic_path`, gives a folder that becomes `path`, which is none or empty."""
    target = epath.Path(path)
    temporary = target.parent / f".tmp-{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.rmtree(missing_ok=True)


def remove_old_folders(folder: epath.Path) -> None:
    """Deletes what `atomic_folder` left there when it was killed, a day ago or more.

    A younger one may be of a process that is still writing.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):  # another process was faster
            if (
                _FOLDER.fullmatch(path.name)
                and path.is_dir()
                and time.time() - path.stat().mtime > _OLD_S
            ):
                path.rmtree()


def remove_left(
    folder: epath.Path, *, below: bool = False, older_s: float = _OLD_S
) -> None:
    """Deletes what killed processes were writing in a folder, or anywhere `below` too.

    A younger one may be of a process that is still at work; 0 seconds where there is
    none. Nothing is left in object stores.
    """
    if "://" in os.fspath(folder):
        return
    for path in Path(folder).glob("**/.tmp-*" if below else ".tmp-*"):
        with contextlib.suppress(OSError):  # read-only, or gone
            if (
                _LEFT.fullmatch(path.name)
                and time.time() - path.stat().st_mtime >= older_s
            ):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _failure(path: str | os.PathLike[str], error: OSError) -> errors.RunError:
    reason = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "check the folder and try again")
    return errors.RunError(f"cannot write {path}: {reason}; {advice}")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes `content` to `path` as a whole or not at all, as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
