"""Backups: made while the service runs, opened and compared before they count, kept for some days.

A backup is one archive: the database as of one moment, the configuration, and a manifest with a checksum of
each file and of the users. Secrets are not in it: they are issued anew from where they are kept.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steward import database, evidence
from steward.database import Content
from steward.place import Place
from steward.problem import ProblemError

PREFIX, SUFFIX = "project-ai-", ".tar.gz"
MANIFEST, DATABASE, CONFIGURATION = "manifest.json", "project_ai.db", "configuration"
LARGEST_MANIFEST = 1024 * 1024


@dataclass(frozen=True)
class Backup:
    """A backup that was found whole.

    Attributes:
        archive: its file. at: of its making, unix s. content: of the database.
        serving: the release that ran; None: it was not known.
        before: the release whose upgrade, or whose last step, it was made before. back_to: the release that
            one goes back to from there, with these data.
    """

    archive: Path
    at: float
    content: Content
    serving: str | None = None
    before: str | None = None
    back_to: str | None = None

    @property
    def told(self) -> str:
        """What is in it, in words."""
        found = self.content
        return f"{found.users} users, schema {found.schema:04d}, release {self.serving or 'unknown'}"


@dataclass(frozen=True)
class Why:
    """What a backup is made for; see `Backup`."""

    serving: str | None = None
    before: str | None = None
    back_to: str | None = None


def make(place: Place, why: Why, at: float | None = None) -> Backup:
    """Make a backup, open it, write down that it is good, and take old ones away.

    A backup that goes wrong is written down too, and then nothing is taken away.

    Raises:
        ProblemError: it has gone wrong.
    """
    at = time.time() if at is None else at
    earlier = evidence.last_good(evidence.read(place), "backup")
    # What would have been lost, had the disk died just before.
    rpo_s = None if earlier is None else round(at - evidence.seconds(earlier["at"]), 1)
    said = {"rpo_s": rpo_s, "rpo_target_s": place.rpo_s}
    try:
        archive = _written(place, at, why)
        made = opened(archive)
        for folder in place.copies:
            _copied(archive, folder)
    except (ProblemError, OSError) as fault:
        evidence.write(place, "backup", at, {"ok": False, **said, "note": str(fault)})
        if isinstance(fault, OSError):
            raise ProblemError(f"{fault.filename}: {fault.strerror}", remedy="Mend that first.") from None
        raise
    told = {
        "file": os.path.relpath(archive, place.evidence),
        "sha256": sha256(archive),
        "note": made.told,
    }
    evidence.write(place, "backup", at, {"ok": True, **said, **told})
    prune(place, now=at, keep=archive)
    return made


def opened(archive: Path, into: Path | None = None) -> Backup:
    """Open a backup and compare everything in it with its manifest.

    Args:
        into: leave database and configuration there; None: they are looked at and taken away again.

    Raises:
        ProblemError: it cannot be read, or something in it is not as it was.
    """
    with tempfile.TemporaryDirectory(prefix="backup-") as scratch:
        folder = into or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        manifest = _unpacked(archive, folder)
        found = database.content(folder / DATABASE)
    wanted = Content(**manifest["content"])
    if found != wanted:
        raise ProblemError(
            f"{archive} holds {found.users} users, its manifest says {wanted.users}, or others",
            remedy="Take another backup.",
        )
    return Backup(archive, manifest["at"], found, **manifest["why"])


def all_of(folder: Path) -> list[Path]:
    """The archives of a folder, the oldest first."""
    return sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))


def newest(place: Place, *, before: str | None = None) -> Backup:
    """The newest backup that is whole.

    Args:
        before: only those made before the upgrade to this release.

    Raises:
        ProblemError: there is none.
    """
    faults = []
    for archive in reversed(all_of(place.backups)):
        try:
            found = opened(archive)
        except ProblemError as fault:
            faults.append(str(fault))
            continue
        if before is None or found.before == before:
            return found
    kind = f"backup from before {before}" if before else "good backup"
    raise ProblemError(
        f"there is no {kind} in {place.backups}" + "".join(f"; {one}" for one in faults),
        remedy="Bring one from where the copies are, and name it with --backup.",
    )


def prune(place: Place, *, now: float, keep: Path) -> list[Path]:
    """Take away backups that are older than promised, and what was written of them; which.

    Args:
        keep: the one that was just made and found whole. It stays, whatever its age.
    """
    gone = []
    for folder in (place.backups, *place.copies):
        for archive in all_of(folder):
            if archive.name != keep.name and now - _made_at(archive) > place.keep_s:
                archive.unlink()
                gone.append(archive)
    names = {archive.name for archive in gone}
    for one in evidence.read(place):
        if one["kind"] == "backup" and Path(str(one.get("file"))).name in names:
            Path(one["path"]).unlink()
    return gone


def _made_at(archive: Path) -> float:
    """When it was made (unix s), by its name: the time of a file is that of its last copying."""
    try:
        return evidence.seconds(archive.name.removeprefix(PREFIX)[: len("20260102T030405Z")])
    except ValueError:
        return float("inf")  # not ours to take away


def sha256(path: Path) -> str:
    """Of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(place: Place, at: float, why: Why) -> Path:
    place.backups.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=place.backups) as name:
        scratch = Path(name)
        database.copy(place.database, scratch / DATABASE)
        files = {DATABASE: scratch / DATABASE}
        for path in _configuration(place):
            files[f"{CONFIGURATION}/{path.relative_to(place.folder)}"] = path
        manifest = {
            "at": at,
            "why": asdict(why),
            "content": asdict(database.content(scratch / DATABASE)),
            "files": {inside: sha256(path) for inside, path in files.items()},
        }
        part = scratch / "archive"
        _packed(part, manifest, files)
        return _named(place.backups, at, part)


def _configuration(place: Place) -> list[Path]:
    found = []
    for text in place.configuration:
        path = place.folder / text
        if not path.exists():
            raise ProblemError(f"{path} is not there", remedy="Correct `configuration` in server.toml.")
        found += sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return found


def _packed(target: Path, manifest: dict[str, Any], files: dict[str, Path]) -> None:
    said = json.dumps(manifest, indent=2).encode()
    with target.open("xb") as out:
        os.fchmod(out.fileno(), 0o600)
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            about = tarfile.TarInfo(MANIFEST)
            about.size, about.mtime = len(said), int(manifest["at"])
            archive.addfile(about, io.BytesIO(said))
            for inside, path in files.items():
                archive.add(path, inside, recursive=False)
        out.flush()
        os.fsync(out.fileno())


def _named(folder: Path, at: float, part: Path) -> Path:
    """Give the archive its name; one that has it already is left alone."""
    for number in range(1, 1000):
        end = "" if number == 1 else f"_{number}"  # sorts behind the one without
        target = folder / f"{PREFIX}{evidence.compact(at)}{end}{SUFFIX}"
        try:
            os.link(part, target)
        except FileExistsError:
            continue
        return target
    raise ProblemError(f"{folder} is full of backups of this second", remedy="Wait a second.")


def _unpacked(archive: Path, folder: Path) -> dict[str, Any]:
    try:
        with tarfile.open(archive) as opened:
            for one in opened:
                _taken_out(opened, one, folder)
        with (folder / MANIFEST).open("rb") as file:
            manifest: dict[str, Any] = json.loads(file.read(LARGEST_MANIFEST))
        wrong = [name for name, was in manifest["files"].items() if sha256(folder / name) != was]
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError) as fault:
        raise ProblemError(f"{archive} is no whole backup: {fault}", remedy="Take another backup.") from None
    if wrong:
        raise ProblemError(f"{archive}: changed since: {', '.join(wrong)}", remedy="Take another backup.")
    return manifest


def _taken_out(archive: tarfile.TarFile, one: tarfile.TarInfo, folder: Path) -> None:
    """One plain file; folders come with their files. tarfile's own filter is not in Debian 12's Python 3.11.

    Raises:
        ValueError: it is something else, or would lie elsewhere.
    """
    if one.isdir():
        return
    target = folder / one.name
    source = archive.extractfile(one) if one.isreg() else None
    if source is None or not target.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{one.name} is no plain file below the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as out:
        shutil.copyfileobj(source, out)
    target.chmod(one.mode & 0o755 | 0o600)


def _copied(archive: Path, folder: Path) -> None:
    """Copy an archive, read the copy again, and give it its name when it is whole."""
    part = folder / f".{archive.name}.part"
    try:
        shutil.copy2(archive, part)
        if sha256(part) != sha256(archive):
            raise ProblemError(f"the copy in {folder} differs", remedy="Look after that disk.")
        os.replace(part, folder / archive.name)
    except OSError as fault:
        raise ProblemError(
            f"the backup cannot be copied to {folder}: {fault.strerror}", remedy="Is it mounted?"
        ) from None
    finally:
        part.unlink(missing_ok=True)
