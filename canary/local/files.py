"""Files that survive a power cut: whole or untouched, and durable once a call has returned.

State lives on a local disk: over a network file system neither `flock` nor the order of `fsync` and
`rename` is worth what is promised here.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from canary.errors import CanaryError, DeniedError, InvalidError, MissingError, TransientError

LOCK_PATIENCE_S = 10.0
_POLL_S = 0.005
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_FULL_FSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def fault_of(fault: OSError, path: Path, doing: str) -> CanaryError:
    """The error that says in words what the operating system refused.

    Args:
        fault: what was raised.
        path: the file or folder meant.
        doing: such as `write`.

    Returns:
        TransientError when it can pass by itself once somebody makes room (full, input/output error),
        DeniedError when we may not, MissingError when the place does not exist, else InvalidError.
    """
    said = f"cannot {doing} {path}: {os.strerror(fault.errno) if fault.errno else fault}"
    if fault.errno in _FULL:
        return TransientError(
            said,
            remedy=f"Make room on the disk of {path.parent}, then go on: what was there is whole.",
        )
    if fault.errno in _REFUSED:
        return DeniedError(
            said,
            remedy=f"Let this user write in {path.parent}, or choose another `state` folder.",
        )
    if fault.errno in _ABSENT:
        return MissingError(said, remedy=f"Make the folder {path.parent}, or choose another `state` folder.")
    if fault.errno in (errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST, errno.ELOOP):
        return InvalidError(said, remedy=f"Something else stands at {path}; move it away.")
    return TransientError(said, remedy=f"Look after the disk of {path.parent}.")


def ensure_directory(path: Path) -> None:
    """Make the folder and those above it, for this user alone; one that exists is left as it is.

    Raises:
        CanaryError: see `fault_of`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        raise fault_of(fault, path, "make the folder") from fault


def read_whole(path: Path) -> bytes | None:
    """The file's content, None when there is no such file.

    Raises:
        CanaryError: see `fault_of`.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise fault_of(fault, path, "read") from fault


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file's content: readers see the old or the new one, never a part. Durable once returned.

    Raises:
        CanaryError: see `fault_of`. After a TransientError the new content may or may not be in place;
            after any other the old one stands.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
            os.replace(beside, path)
        except OSError:
            with suppress(OSError):
                beside.unlink()
            raise
        _sync_directory(path.parent)
    except OSError as fault:
        raise fault_of(fault, path, "write") from fault


def append_durable(path: Path, data: bytes) -> None:
    """Append whole lines. Durable once returned; a line torn by an earlier crash is cut off first.

    Writers in any number of processes take turns. A write that fails half way is taken back.

    Args:
        path: made if it does not exist.
        data: one or more lines, each with its newline.

    Raises:
        ValueError: data does not end with a newline.
        CanaryError: see `fault_of`.
    """
    if not data:
        return
    if not data.endswith(b"\n"):
        raise ValueError("append_durable wants whole lines, each with its newline")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _take(descriptor, path)
            _append(descriptor, data)
        finally:
            os.close(descriptor)
        _sync_directory(path.parent)
    except OSError as fault:
        raise fault_of(fault, path, "append to") from fault


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, without their newlines; a torn last one is left out. No file: none.

    Raises:
        CanaryError: see `fault_of`.
    """
    return (read_whole(path) or b"").split(b"\n")[:-1]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock among all threads and processes of this host while in the block.

    The kernel frees it when its holder dies. The file itself stays: were it removed, two could hold
    "the same" lock on different files.

    Raises:
        TransientError: somebody else kept it for more than LOCK_PATIENCE_S.
        CanaryError: see `fault_of`.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as fault:
        raise fault_of(fault, path, "open") from fault
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    # Polled, not blocking: a holder that was stopped (SIGSTOP) must not make us hang for ever.
    pause = threading.Event()
    for _ in range(int(LOCK_PATIENCE_S / _POLL_S)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause.wait(_POLL_S)
        except OSError as fault:
            raise fault_of(fault, path, "lock") from fault
        else:
            return
    raise TransientError(
        f"{path} has been locked by another process for {LOCK_PATIENCE_S:g} s",
        remedy=f"Find it with `fuser {path}`; a stopped process keeps its locks until it goes on or ends.",
    )


def _append(descriptor: int, data: bytes) -> None:
    end = _end_of_last_line(descriptor)
    os.ftruncate(descriptor, end)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], end + written)
        _sync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - 4096)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _sync(descriptor: int) -> None:
    # On macOS fsync stops at the drive's cache; F_FULLFSYNC goes through it where it is supported.
    if _FULL_FSYNC is not None:
        with suppress(OSError):
            fcntl.fcntl(descriptor, _FULL_FSYNC)
            return
    os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
