"""Evidence files: what a backup or a restore drill writes down, read and checked against what there is."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from canary.preflight.facts import Kind, Proof
from canary.preflight.finding import Unseen

MAX_BYTES = 64 * 1024
"""A document is smaller; what is larger is something else."""
_BLOCK = 1024 * 1024


class Document(BaseModel):
    """One backup or drill. Times are seconds; `file` is relative to the document."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    kind: Literal["backup", "restore-drill"]
    at: str
    ok: bool
    file: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$")
    rpo_s: float | None = Field(None, ge=0)
    rto_s: float | None = Field(None, ge=0)
    rto_target_s: float | None = Field(None, gt=0)
    rpo_target_s: float | None = Field(None, gt=0)
    note: str | None = None


def read(folder: Path) -> tuple[Proof | Unseen, ...]:
    """What the `*.json` documents of a folder prove.

    A document that cannot be read, tells of a failure, or of a backup that is not there as it was written, is
    told with its fault and proves nothing. Backups older than the last good one are left out: their files may
    have been taken away since, and need not be read.
    """
    try:
        paths = sorted(one for one in folder.iterdir() if one.suffix == ".json")
    except OSError as fault:
        why = f"the folder {folder} cannot be read: {fault.strerror}"
        return (Unseen(why, "Make it readable, or name another as `preflight.evidence`."),)
    return _checked([_proof(path) for path in paths])


_Found = tuple[Proof, Path, Document]


def _checked(found: Sequence[_Found | Unseen]) -> tuple[Proof | Unseen, ...]:
    told: list[Proof | Unseen] = [one for one in found if isinstance(one, Unseen)]
    proofs = [one for one in found if not isinstance(one, Unseen)]
    told += [proof for proof, _, document in proofs if document.kind == "restore-drill"]
    backups = [one for one in proofs if one[2].kind == "backup"]
    for proof, path, document in sorted(backups, key=lambda one: one[0].at or 0.0, reverse=True):
        fault = proof.fault or _of_file(path.parent / str(document.file), str(document.sha256))
        told.append(replace(proof, fault=fault))
        if not fault:
            break
    return tuple(told)


def _proof(path: Path) -> _Found | Unseen:
    fix = "Correct it, or take it away (docs/preflight.md describes these files)."
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return Unseen(f"{path} is larger than {MAX_BYTES} bytes", fix)
        document = Document.model_validate(_parsed(data))
        at = _seconds(document.at)
    except OSError as fault:
        return Unseen(f"{path} cannot be read: {fault.strerror}", fix)
    except ValidationError as fault:
        return Unseen(f"{path}: {_first(fault)}", fix)
    except ValueError as fault:
        return Unseen(f"{path}: {fault}", fix)
    proof = Proof(
        Kind(document.kind),
        str(path),
        at,
        fault=_fault(document),
        rto_s=document.rto_s,
        rpo_s=document.rpo_s,
        rto_target_s=document.rto_target_s,
        rpo_target_s=document.rpo_target_s,
    )
    return proof, path, document


def _parsed(data: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(data)
    except ValueError as fault:
        raise ValueError(f"it is not JSON: {fault}") from fault


def _seconds(text: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"at: found {text!r}, wanted a time such as 2026-01-02T03:04:05Z") from None
    if found.tzinfo is None:
        raise ValueError(f"at: found {text!r}, which has no zone; wanted a time such as 2026-01-02T03:04:05Z")
    return found.timestamp()


def _first(fault: ValidationError) -> str:
    one = fault.errors(include_url=False)[0]
    place = ".".join(map(str, one["loc"]))
    return f"{place}: {one['msg']}" if place else str(one["msg"])


def _fault(document: Document) -> str:
    """Why it does not count by what it says itself; empty: it does."""
    if not document.ok:
        return f"did not go well{f' ({document.note[:200]})' if document.note else ''}"
    if document.kind == "backup" and (document.file is None or document.sha256 is None):
        return "does not name the backup's `file` and its `sha256`"
    return ""


def _of_file(path: Path, sha256: str) -> str:
    try:
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as fault:
        return f"its file {path} cannot be read: {fault.strerror}"
    if digest.hexdigest() != sha256.lower():
        return f"its file {path} was changed: sha256 {digest.hexdigest()[:12]}, wanted {sha256[:12].lower()}"
    return ""
