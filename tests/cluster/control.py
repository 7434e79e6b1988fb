"""The control plane: etcd, API server, controller manager and scheduler, real and with RBAC enforced."""

import csv
import io
import secrets
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.cluster import build, processes
from tests.cluster.faults import ClusterError
from tests.cluster.kubectl import reached, write_kubeconfig
from tests.cluster.place import HERE, Place, write

SERVICES = "10.97.0.0/16"
MASTERS = "system:masters"
ACCOUNTS: dict[str, tuple[str, ...]] = {
    "admin": (MASTERS,),
    "outsider": (),
    "kwok": (MASTERS,),
    "prometheus": (),
    "system:kube-controller-manager": (),
    "system:kube-scheduler": (),
    "system:kube-proxy": (),
}
"""Who is known from the start, with their groups. `outsider` may do nothing that is not granted to it."""


@dataclass(frozen=True)
class ControlPlane:
    """The control plane of one place."""

    place: Place

    @property
    def server(self) -> str:
        return f"https://{self.place.address}:{self.place.port('api')}"

    @property
    def audit_log(self) -> Path:
        return self.place.logs / "audit.log"

    @property
    def certificate(self) -> Path:
        """What the API server shows, with the authority that signed it: it makes both when it starts."""
        return self.place.folder / "certificates" / "apiserver.crt"

    def start(self, further: dict[str, tuple[str, ...]] | None = None) -> None:
        """Start everything; returns when pods can be made. `further`: as `ACCOUNTS`, and beside them.

        Raises:
            ClusterError: something died or did not get ready; the message says which and what it said.
        """
        self._prepare(ACCOUNTS | (further or {}))
        kube = build.built(build.KUBE)
        processes.start(self.place, "etcd", [kube, "etcd", *self._etcd()])
        processes.start(self.place, "kube-apiserver", [kube, "kube-apiserver", *self._apiserver()])
        processes.until(self.certificate.exists, "the API server's certificate", place=self.place)
        for name in ACCOUNTS | (further or {}):
            self._write_kubeconfig(name)
        processes.until(lambda: self.answers("/readyz"), "the API server", place=self.place)
        for name, flags in (
            ("kube-controller-manager", self._controller_manager()),
            ("kube-scheduler", ["--leader-elect=false", "--secure-port=0"]),
        ):
            kubeconfig = self.place.kubeconfig(f"system:{name}")
            processes.start(self.place, name, [kube, name, f"--kubeconfig={kubeconfig}", *flags])
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        processes.until(lambda: self.answers(account), "the first service account", place=self.place)

    def answers(self, path: str) -> bool:
        """Whether the API server answers the admin's GET with 200."""
        try:
            trust = ssl.create_default_context(cafile=str(self.certificate))
            headers = {"Authorization": f"Bearer {self._tokens()['admin']}"}
            with httpx.Client(verify=trust, headers=headers, timeout=5, trust_env=False) as client:
                return client.get(self.server + path).status_code == 200
        except (OSError, httpx.HTTPError):
            return False

    def account(self, name: str, groups: tuple[str, ...] = ()) -> Path:
        """The kubeconfig of a user of this name, who must be among those that `start` was told of.

        The API server reads its tokens once. For whom a test thinks of later there are service accounts,
        `Cluster.service_account`.

        Raises:
            ClusterError: nobody of this name and these groups was known when the API server started.
        """
        for row in csv.reader(io.StringIO(self._token_file.read_text())):
            if row[1] == name and (not groups or row[3] == ",".join(groups)):
                return self.place.kubeconfig(name)
        raise ClusterError(
            f"no account {name} with groups {groups}: the API server knows only those it began with"
        )

    @property
    def _token_file(self) -> Path:
        return self.place.folder / "tokens.csv"

    @property
    def _signing_key(self) -> Path:
        return self.place.folder / "certificates" / "service-accounts.key"

    def _prepare(self, accounts: dict[str, tuple[str, ...]]) -> None:
        rows = io.StringIO()
        for name, groups in accounts.items():
            csv.writer(rows).writerow([secrets.token_urlsafe(24), name, name, ",".join(groups)])
        write(self._token_file, rows.getvalue())
        self._signing_key.parent.mkdir(exist_ok=True)
        kube = build.built(build.KUBE)
        subprocess.run([kube, "service-account-key", self._signing_key], check=True)

    def _tokens(self) -> dict[str, str]:
        return {row[1]: row[0] for row in csv.reader(io.StringIO(self._token_file.read_text()))}

    def _write_kubeconfig(self, name: str) -> None:
        write_kubeconfig(
            self.place.kubeconfig(name),
            cluster=reached(self.server, self.certificate),
            account=name,
            token=self._tokens()[name],
        )

    def _etcd(self) -> list[str]:
        client = f"http://127.0.0.1:{self.place.port('etcd')}"
        peer = f"http://127.0.0.1:{self.place.port('etcd-peer')}"
        return [
            f"--data-dir={self.place.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        # The kubernetes Service gets an address only where pods can route to it.
        reconciler = "none" if self.place.address.startswith("127.") else "lease"
        return [
            f"--etcd-servers=http://127.0.0.1:{self.place.port('etcd')}",
            f"--bind-address={self.place.address}",
            f"--advertise-address={self.place.address}",
            f"--secure-port={self.place.port('api')}",
            f"--cert-dir={self.certificate.parent}",
            f"--token-auth-file={self._token_file}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._signing_key}",
            f"--service-account-signing-key-file={self._signing_key}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--endpoint-reconciler-type={reconciler}",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            f"--audit-policy-file={HERE / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=4000",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            "--kube-api-qps=500",  # else it waits seconds for its own accounts, one per controller
            "--kube-api-burst=500",
            f"--service-account-private-key-file={self._signing_key}",
            f"--root-ca-file={self.certificate}",
        ]
