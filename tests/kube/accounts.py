"""Service accounts that have a printed Role and nothing else, on a server that enforces it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from canary.kube.configs import Kind
from canary.kube.rbac import Account, Rule, rules
from canary.kube.session import Json
from tests.cluster.kubectl import kubectl, write_kubeconfig
from tests.kube.live import wait_for
from tests.kube.stage import Stage

RBAC = "rbac.authorization.k8s.io/v1"
ALL = [rule for account in Account for rule in rules(account, "web", set(Kind), events=True)]


def printed(stage: Stage, account: Account, *options: str) -> Json:
    """The Role as a person gets it: from the text that the command prints."""
    ran = stage.run("rbac", "--for", account, *options)
    assert ran.code == 0, ran.text
    found: Json = yaml.safe_load(ran.out)
    return found


@dataclass(frozen=True)
class Bound:
    """A service account of the stage's namespace, to be bound to one Role."""

    stage: Stage
    name: str

    def granted(self, role: Json) -> Stage:
        """The stage, with commands run by this account, which has this Role and nothing else."""
        session, namespace = self.stage.session, self.stage.place.namespace
        session.create(session.path("v1", "serviceaccounts"), {"metadata": {"name": self.name}})
        session.create(session.path(RBAC, "roles"), role)
        reference = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": role["metadata"]["name"],
        }
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": namespace}
        binding = {"metadata": {"name": self.name}, "roleRef": reference, "subjects": [subject]}
        session.create(session.path(RBAC, "rolebindings"), binding)
        self.wait_until_it_has(role["rules"])
        return replace(self.stage, environment={"KUBECONFIG": str(self.kubeconfig())})

    def change(self, role: Json) -> None:
        """Give it these rules instead."""
        session = self.stage.session
        session.replace(session.path(RBAC, "roles", role["metadata"]["name"]), role)
        self.wait_until_it_has(role["rules"])

    def kubeconfig(self) -> Path:
        """With a token of the TokenRequest API."""
        session, namespace = self.stage.session, self.stage.place.namespace
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        token = session.create(session.path("v1", "serviceaccounts", self.name, "token"), asked)
        view = ("config", "view", "--minify", "--flatten", "--raw", "-o", "json")
        cluster = json.loads(kubectl(self.stage.place.kubeconfig, *view))["clusters"][0]["cluster"]
        path = self.stage.folder / f"{self.name}.kubeconfig"
        account = f"system:serviceaccount:{namespace}:{self.name}"
        write_kubeconfig(path, cluster=cluster, account=account, token=token["status"]["token"])
        return path

    def wait_until_it_has(self, wanted: list[Json]) -> None:
        """The API server follows Roles by a copy of its own: until that has all of these and no others."""
        asked = {(rule.group, rule.resource, verb, name) for rule in ALL for verb, name in parts(rule)}
        given = {
            (rule["apiGroups"][0], rule["resources"][0], verb, name)
            for rule in wanted
            for verb in rule["verbs"]
            for name in rule.get("resourceNames", [""])
        }
        wait_for(lambda: {one for one in asked if self.may(*one)} == given, f"{self.name} has its Role")

    def may(self, group: str, resource: str, verb: str, name: str) -> bool:
        session = self.stage.session
        namespace = self.stage.place.namespace
        kind, _, sub = resource.partition("/")
        attributes = {
            "namespace": namespace,
            "group": group,
            "resource": kind,
            "subresource": sub,
            "verb": verb,
            "name": name,
        }
        spec = {
            "user": f"system:serviceaccount:{namespace}:{self.name}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"],
            "resourceAttributes": attributes,
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = session.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"]["allowed"])


def parts(rule: Rule) -> list[tuple[str, str]]:
    return [(verb, name) for verb in rule.verbs for name in rule.names or ("",)]
