"""Reads and makes the keys that seals are made with. What kind a key is, its file tells.

Secrets come from files only, and from files that nobody else can read.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import ModuleType

from canary.core.seals import SealKey
from canary.errors import CanaryError, DeniedError, InvalidError, MissingError

LEAST_BYTES = 32
LEAST_DISTINCT = 8
"""32 random bytes have about 30 different values, and fewer than 8 never."""
MAX_BYTES = 64 * 1024
MAKE = "Make one with `canary audit keygen FILE`."


class Algorithm(StrEnum):
    """What seals can be made with."""

    ED25519 = "ed25519"
    HMAC = "hmac-sha256"


@dataclass(frozen=True)
class HmacKey:
    """A secret that both makes and checks seals. Implements `SealKey`."""

    secret: bytes = field(repr=False)
    algorithm: str = Algorithm.HMAC

    @property
    def id(self) -> str:
        """Tells it from other keys, and nothing about the secret."""
        return hmac.new(self.secret, b"canary seal key id", hashlib.sha256).hexdigest()[:16]

    def sign(self, message: bytes) -> str:
        """HMAC-SHA256, 64 hexadecimal digits."""
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()

    def verifies(self, message: bytes, signature: str) -> bool:
        """Whether it is what `sign` gives; takes the same time whatever differs."""
        return hmac.compare_digest(self.sign(message), signature)


def signing_key(path: Path) -> SealKey:
    """The key of a file, to make seals with.

    Raises:
        MissingError: no such file. DeniedError: others can read it, or we cannot.
        InvalidError: it is no key, a weak one, or the public half of one.
    """
    data = _contents(path)
    if _is_public(data):
        raise InvalidError(
            f"{path} is the public half of a key: it checks seals and cannot make them",
            remedy="Name the file of the private key in `ledger.seal.key_file`.",
        )
    return _key(path, data)


def checking_key(path: Path) -> SealKey:
    """The key of a file, to check seals with: a secret, a private key, or its public half.

    Raises:
        As `signing_key`, but for the public half.
    """
    return _key(path, _contents(path))


def generate(path: Path, algorithm: Algorithm) -> tuple[SealKey, Path | None]:
    """Make a key in a new file that only its owner can read; never over one that is there.

    Returns:
        The key, and the file `PATH.pub` with its public half, if it has one.

    Raises:
        InvalidError: something is there, or what the algorithm needs is not installed.
        DeniedError, MissingError: it cannot be written there.
    """
    public = path.with_name(f"{path.name}.pub") if algorithm is Algorithm.ED25519 else None
    for one in (path, public):
        if one is not None and os.path.lexists(one):
            raise InvalidError(
                f"{one} is there already; nothing was written", remedy="Name a new file: keys are kept."
            )
    if public is None:
        _write(path, secrets.token_hex(LEAST_BYTES).encode() + b"\n", 0o600)
        return checking_key(path), None
    private_pem, public_pem = _ed25519().generate()
    _write(path, private_pem, 0o600)
    _write(public, public_pem, 0o644)
    return checking_key(path), public


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        # O_EXCL follows no link and takes no file that is there: two who make keys at once cannot mix them.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError as fault:
        raise InvalidError(f"{path} is there already", remedy="Name a new file: keys are kept.") from fault
    except FileNotFoundError as fault:
        raise MissingError(f"there is no folder {path.parent}", remedy="Make it first.") from fault
    except OSError as fault:
        raise DeniedError(
            f"{path} cannot be written: {fault.strerror}", remedy="Name a file where you may write."
        ) from fault


def _contents(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InvalidError(f"{path} is no file", remedy=f"Name the file with the key. {MAKE}")
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as fault:
        raise MissingError(
            f"there is no key file {path}",
            remedy=f"{MAKE} In a Job it is in the Secret that `controller.seal_secret` names.",
        ) from fault
    except PermissionError as fault:
        raise DeniedError(f"{path} may not be read by this user", remedy="Let this user read it.") from fault
    except OSError as fault:
        raise InvalidError(f"the key file {path} cannot be read: {fault.strerror}", remedy=MAKE) from fault
    if not _is_public(data):
        _private(path, found)
    if not data:
        raise InvalidError(f"the key file {path} is empty", remedy=MAKE)
    if len(data) > MAX_BYTES:
        raise InvalidError(f"{path} has more than {MAX_BYTES} bytes: it is no key", remedy=MAKE)
    return data


def _private(path: Path, found: os.stat_result) -> None:
    """A secret that others can read, or could replace, is none.

    Where somebody else owns the file, as with a Secret mounted into a pod, its group is what lets us read it.
    """
    own = found.st_uid == os.geteuid()
    if found.st_mode & (0o077 if own else 0o037):
        mode = stat.S_IMODE(found.st_mode)
        raise DeniedError(
            f"the key file {path} is open to others (mode {mode:04o})",
            remedy=f"Run `chmod {'600' if own else '440'} {path}`; make a new key if others have read it.",
        )


def _is_public(data: bytes) -> bool:
    return data.lstrip().startswith(b"-----BEGIN PUBLIC KEY-----") and b"PRIVATE KEY" not in data


def _key(path: Path, data: bytes) -> SealKey:
    if data.lstrip().startswith(b"-----BEGIN"):
        found: SealKey = _ed25519().from_pem(data, path)
        return found
    secret = _secret(path, data)
    if len(secret) < LEAST_BYTES:
        raise InvalidError(
            f"the key in {path} has {len(secret)} bytes, wanted at least {LEAST_BYTES} random ones",
            remedy=MAKE,
        )
    if len(set(secret)) < LEAST_DISTINCT:
        raise InvalidError(
            f"the key in {path} repeats a few values, wanted {LEAST_BYTES} random bytes", remedy=MAKE
        )
    return HmacKey(secret)


def _secret(path: Path, data: bytes) -> bytes:
    """Bytes as they are, or as hexadecimal or base64 text."""
    try:
        text = "".join(data.decode("ascii").split())
    except UnicodeDecodeError:
        return data
    if not text.isprintable():
        return data
    for reads in _TEXTS:
        if (found := reads(text)) is not None:
            return found
    raise InvalidError(
        f"the key in {path} is text that is neither hexadecimal nor base64, nor PEM", remedy=MAKE
    )


def _hexadecimal(text: str) -> bytes | None:
    even = len(text) % 2 == 0 and re.fullmatch("[0-9a-fA-F]*", text) is not None
    return bytes.fromhex(text) if even else None


def _base64(text: str) -> bytes | None:
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


_TEXTS: tuple[Callable[[str], bytes | None], ...] = (_hexadecimal, _base64)


def _ed25519() -> ModuleType:
    try:
        from canary.seal import ed25519
    except ModuleNotFoundError as fault:
        raise _lacking() from fault
    return ed25519


def _lacking() -> CanaryError:
    return InvalidError(
        "Ed25519 keys need the library cryptography, which is not installed",
        remedy="Install it: pip install 'canary-delivery[seal]'. Or use an HMAC key, which needs nothing: "
        "`canary audit keygen FILE --algorithm hmac-sha256`.",
    )
