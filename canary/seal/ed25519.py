"""Ed25519 keys: the private half makes seals, the public half is enough to check them."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from canary.errors import InvalidError

MAKE = "Make one with `canary audit keygen FILE`, or `openssl genpkey -algorithm ed25519`."


@dataclass(frozen=True)
class Ed25519Key:
    """Implements `SealKey`. `private`: None when there is but the public half."""

    public: Ed25519PublicKey
    private: Ed25519PrivateKey | None = field(default=None, repr=False)
    algorithm: str = "ed25519"

    @property
    def id(self) -> str:
        """The same for both halves."""
        raw = self.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return hashlib.sha256(b"canary seal key id" + raw).hexdigest()[:16]

    def sign(self, message: bytes) -> str:
        """128 hexadecimal digits.

        Raises:
            ValueError: this is the public half.
        """
        if self.private is None:
            raise ValueError("the public half of a key makes no seals")
        return self.private.sign(message).hex()

    def verifies(self, message: bytes, signature: str) -> bool:
        """Whether the private half made it for this message."""
        try:
            self.public.verify(bytes.fromhex(signature), message)
        except (InvalidSignature, ValueError):
            return False
        return True


def from_pem(data: bytes, path: Path) -> Ed25519Key:
    """A private (PKCS #8) or public key.

    Raises:
        InvalidError: it is neither, encrypted, or of another kind.
    """
    try:
        if b"-----BEGIN PUBLIC KEY-----" in data:
            public: object = load_pem_public_key(data)
            private: object = None
        else:
            private = load_pem_private_key(data, password=None)
            public = private.public_key()
    except TypeError as fault:
        raise InvalidError(
            f"the key in {path} is encrypted: nobody could unlock it for a release",
            remedy=f"Keep it in a file that only its user can read. {MAKE}",
        ) from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise InvalidError(f"{path} holds no key in PEM that can be read", remedy=MAKE) from fault
    if isinstance(public, Ed25519PublicKey) and (private is None or isinstance(private, Ed25519PrivateKey)):
        return Ed25519Key(public, private)
    kind = type(public).__name__.strip("_").removesuffix("PublicKey")
    raise InvalidError(f"{path} holds a key of kind {kind}, wanted Ed25519", remedy=MAKE)


def generate() -> tuple[bytes, bytes]:
    """A new private key and its public half, both in PEM."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )
