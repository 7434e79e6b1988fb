"""The section `preflight` of `canary.yaml`: what must hold before a release."""

from typing import Annotated

from pydantic import Field, WithJsonSchema

from canary.config.fields import Section, Stretch, Text, Url, wanted


def _exposure(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        raise ValueError("wanted a number from 0 to 10, such as 4.0")
    return float(value)


Exposure = Annotated[
    float, wanted(_exposure), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10})
]


class Server(Section):
    """A Prometheus or an Alertmanager. Secrets come from files only."""

    url: Url = Field(description="Where its API is, without /api/...")
    token_file: Text | None = Field(None, description="File with a bearer token.")
    ca_file: Text | None = Field(None, description="File with the certificates to trust.")
    timeout: Stretch = Field(10.0, description="For one answer.")


class Backup(Section):
    """What is asked of backups."""

    max_age: Stretch = Field(86400.0, description="The last good one may be this old.")


class Drill(Section):
    """What is asked of restore drills."""

    max_age: Stretch = Field(90 * 86400.0, description="The last good one may be this long ago.")
    rto: Stretch | None = Field(
        None, description="Recovery time that it must keep; left out: what the evidence names."
    )
    rpo: Stretch | None = Field(
        None, description="Recovery point that it must keep; left out: what the evidence names, or "
        "`backup.max_age`."
    )  # fmt: skip


class Preflight(Section):
    """What `canary preflight` checks, and whether a release depends on it."""

    strict: bool = Field(False, description="`canary start` refuses a release while a point fails.")
    evidence: Text | None = Field(
        None, description="Folder of JSON documents that tell of backups and restore drills."
    )
    stateless: Text | None = Field(
        None, description="Why the target keeps no data that would have to be restored."
    )
    backup: Backup = Field(Backup.model_construct(max_age=86400.0), description="What is asked of backups.")
    drill: Drill = Field(Drill.model_validate({}), description="What is asked of restore drills.")
    prometheus: Server | None = Field(
        None, description="Whose alert rules are looked at; left out: `analysis.source.prometheus`."
    )
    alertmanager: Server | None = Field(
        None, description="Whose routes are looked at; left out: the one that Prometheus names."
    )
    secrets: bool = Field(False, description="Canary's own account may use Secrets (Kubernetes).")
    unit: Text | None = Field(None, description="File of the systemd unit that keeps a local service.")
    exposure: Exposure = Field(
        4.0, description="Of that unit, as `systemd-analyze security` counts it: at most this, of 10."
    )
