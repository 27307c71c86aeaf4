"""One run at a time in a work directory.

The kernel holds the lock, on an open file: a process that is killed leaves none behind.
"""

from collections.abc import Iterator
import contextlib
import errno
import os
import socket

from etils import epath

from cellrec_jax import errors, hosts
from cellrec_jax.workdir import directory

FILE = "lock"
"""Its name in a work directory; there while a run holds it, or was killed."""


@contextlib.contextmanager
def hold(
    workdir: epath.Path, advice: str = "choose another --workdir"
) -> Iterator[None]:
    """Keeps other processes from a work directory, which is made if it is not there.

    RunError if another one has it, with who that is and the `advice`. Of several
    processes all must call this, the first one holds it. Where nothing can be locked
    (object stores, some network folders, read-only ones, Windows) nothing is.
    """
    directory.make(workdir)
    number, refused = _open(workdir) if hosts.is_first() else (None, "")
    if refused := hosts.gather(refused.encode())[0].decode():
        raise errors.RunError(
            f"{workdir}: another run is at work there ({refused}); wait until it has "
            f"ended, or {advice}"
        )
    try:
        yield
    finally:
        _release(workdir, number)


@contextlib.contextmanager
def try_hold(folder: epath.Path) -> Iterator[bool]:
    """Whether this process alone has a folder now; waits for none, and asks no other.

    As `hold` for one process of several, which need not all call it.
    """
    directory.make(folder)
    number, refused = _open(folder)
    try:
        yield not refused
    finally:
        _release(folder, number)


@contextlib.contextmanager
def wait_for(folder: epath.Path) -> Iterator[None]:
    """Keeps a folder from other processes that ask for it, once those have left it.

    As `try_hold` for the rest.
    """
    directory.make(folder)
    number, _ = _open(folder, waits=True)
    try:
        yield
    finally:
        _release(folder, number)


def _release(folder: epath.Path, number: int | None) -> None:
    if number is not None:
        # Before it is released: else this removes the file of the next one.
        with contextlib.suppress(OSError):
            (folder / FILE).unlink(missing_ok=True)
        os.close(number)


def _open(workdir: epath.Path, *, waits: bool = False) -> tuple[int | None, str]:
    """The descriptor of a locked file, None where it cannot be; who else has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None, ""
    path = os.fspath(workdir / FILE)
    if "://" in path:
        return None, ""
    while True:
        try:
            number, is_own = _open_file(path)
        except OSError:
            return None, ""
        try:
            # Some file systems lock for one alone only what can be written.
            how = fcntl.LOCK_EX if is_own else fcntl.LOCK_SH
            fcntl.flock(number, how if waits else how | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(number)
            os.close(number)
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                return None, holder
            with contextlib.suppress(OSError):
                os.unlink(path)
            return None, ""
        is_there = _is_there(number, path)  # or its holder removed it meanwhile
        if is_there and is_own:
            _sign(number)
            return number, ""
        try:
            if is_there:  # of another user's run, which was killed
                os.unlink(path)
        except OSError:
            return None, ""
        finally:
            os.close(number)


def _open_file(path: str) -> tuple[int, bool]:
    """The descriptor of a file, made if it is not there, and whether it is own."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666), True
    except PermissionError:
        return os.open(path, os.O_RDONLY), False


def _is_there(number: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


def _sign(number: int) -> None:
    """Says who holds the file, for those who are refused."""
    text = f"process {os.getpid()} on {socket.gethostname()}"
    with contextlib.suppress(OSError):  # a full disk
        os.ftruncate(number, 0)
        os.pwrite(number, text.encode(), 0)


def _holder(number: int) -> str:
    text = os.pread(number, 300, 0).decode(errors="replace").strip()
    return text or "of an unknown process"
