"""Keys in files: what they are, who may read them, and which are refused."""

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.errors import CanaryError, DeniedError, InvalidError, MissingError
from canary.seal.keys import Algorithm, HmacKey, checking_key, generate, signing_key

SECRET = bytes(range(32))


def written(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "data",
    [
        SECRET.hex().encode(),
        SECRET.hex().upper().encode() + b"\n",
        base64.b64encode(SECRET) + b"\n",
        base64.b64encode(SECRET).rstrip(b"="),
    ],
)
def test_a_secret_may_be_hexadecimal_or_base64(tmp_path: Path, data: bytes) -> None:
    assert signing_key(written(tmp_path / "key", data)) == HmacKey(SECRET)


def test_a_secret_may_be_url_safe_base64_or_bytes_as_they_are(tmp_path: Path) -> None:
    secret = bytes(range(224, 256)) + b"\n"
    assert signing_key(written(tmp_path / "a", secret)) == HmacKey(secret)
    assert signing_key(written(tmp_path / "b", base64.urlsafe_b64encode(secret))) == HmacKey(secret)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b" \n", "has 0 bytes, wanted at least 32"),
        (SECRET[:31].hex().encode(), "has 31 bytes, wanted at least 32"),
        (base64.b64encode(SECRET[:16]), "has 16 bytes"),
        (b"\xff" * 31, "has 31 bytes"),
        (b"0" * 64, "repeats a few values"),
        (b"\xff\xfe" * 40, "repeats a few values"),
        (b"correct horse battery staple, and all the rest of it!", "neither hexadecimal nor base64"),
        (b"x" * 70_000, "more than 65536 bytes"),
        (b"-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n", "no key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nrubbish\n", "public half"),
    ],
)
def test_what_is_no_key_or_a_weak_one_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        signing_key(written(tmp_path / "key", data))


def test_a_key_that_is_not_there_is_told_with_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is no key file") as told:
        signing_key(tmp_path / "none")
    assert "canary audit keygen" in told.value.remedy
    with pytest.raises(InvalidError, match="is no file"):
        signing_key(tmp_path)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601, 0o666, 0o660])
def test_a_key_that_others_can_read_or_replace_is_refused_with_what_to_run(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "key", SECRET.hex().encode(), mode)
    for reads in (signing_key, checking_key):
        with pytest.raises(DeniedError, match=rf"open to others \(mode 0{mode:03o}\)") as told:
            reads(path)
        assert f"chmod 600 {path}" in told.value.remedy
    path.chmod(0o400)
    assert signing_key(path).id == HmacKey(SECRET).id


def test_a_mounted_secret_may_be_read_by_its_group_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "key", SECRET.hex().encode(), 0o440)
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    assert signing_key(path) == HmacKey(SECRET)
    for mode in (0o444, 0o460):
        path.chmod(mode)
        with pytest.raises(DeniedError, match="open to others") as told:
            signing_key(path)
        assert "chmod 440" in told.value.remedy


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_that_was_made_can_be_read_by_its_owner_alone_and_seals(
    tmp_path: Path, algorithm: Algorithm
) -> None:
    path = tmp_path / "seal.key"
    key, public = generate(path, algorithm)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.algorithm == algorithm
    signature = signing_key(path).sign(b"words")
    assert checking_key(public or path).verifies(b"words", signature)
    assert not checking_key(public or path).verifies(b"word", signature)
    assert checking_key(public or path).id == key.id
    assert generate(tmp_path / "other.key", algorithm)[0].id != key.id


def test_making_a_key_never_writes_over_anything(tmp_path: Path) -> None:
    path = written(tmp_path / "seal.key", b"mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    written(tmp_path / "free.pub", b"theirs")
    for taken in (path, link, tmp_path / "free"):
        with pytest.raises(InvalidError, match="is there already"):
            generate(taken, Algorithm.ED25519)
    assert path.read_bytes() == b"mine"
    assert not (tmp_path / "free").exists()
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(MissingError, match="there is no folder"):
        generate(tmp_path / "no" / "key", Algorithm.HMAC)


def test_the_public_half_checks_and_cannot_seal(tmp_path: Path) -> None:
    _, public = generate(tmp_path / "seal.key", Algorithm.ED25519)
    assert public is not None
    assert public.stat().st_mode & 0o777 == 0o644
    with pytest.raises(InvalidError, match="public half") as told:
        signing_key(public)
    assert "ledger.seal.key_file" in told.value.remedy
    with pytest.raises(ValueError, match="makes no seals"):
        checking_key(public).sign(b"words")


def openssl(tmp_path: Path, *arguments: str) -> Path:
    path = tmp_path / "openssl.key"
    done = subprocess.run(
        ["openssl", "genpkey", *arguments, "-out", str(path)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"openssl {' '.join(arguments)}: {done.stderr.decode()[-200:]}")
    path.chmod(0o600)
    return path


def test_a_key_that_openssl_made_is_taken(tmp_path: Path) -> None:
    key = signing_key(openssl(tmp_path, "-algorithm", "ed25519"))
    assert (key.algorithm, len(key.sign(b"x"))) == ("ed25519", 128)


def test_keys_of_other_kinds_and_encrypted_ones_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="holds a key of kind X25519, wanted Ed25519"):
        signing_key(openssl(tmp_path, "-algorithm", "x25519"))
    with pytest.raises(InvalidError, match="is encrypted"):
        signing_key(openssl(tmp_path, "-algorithm", "ed25519", "-aes256", "-pass", "pass:x"))


def test_without_the_library_an_ed25519_key_says_what_to_install_and_hmac_works(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None; from canary.cli import app; "
        "print(app.main(['audit', 'keygen', 'one']), app.main(['audit', 'keygen', 'two', '--algorithm', "
        "'hmac-sha256']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-2:] == ["2", "0"]
    assert "pip install 'canary-delivery[seal]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two"]


def test_a_key_tells_nothing_of_its_secret_when_it_is_printed(tmp_path: Path) -> None:
    key, _ = generate(tmp_path / "a", Algorithm.ED25519)
    assert SECRET.hex() not in repr(HmacKey(SECRET))
    assert repr(SECRET) not in repr(HmacKey(SECRET))
    assert "private=" not in repr(key)


@given(st.binary(max_size=100))
def test_whatever_a_file_holds_is_a_key_or_refused_in_words(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        refused = ""
        try:
            signing_key(Path(file.name))
        except CanaryError as fault:
            refused = fault.message
        assert file.name in refused if refused else len(data) >= 32
