#!/bin/bash
# restore.sh NAMESPACE [--replace] [FILE]: bring back the newest backup of the database, or that of FILE.
#
#   without    the database is lost, with its volumes. Whatever is left of it is destroyed, a new one is made
#   --replace  the database stands, its data are to go back: they are replaced in one transaction, or not at all
#
# Both throw away what is there, so it asks: type the name of the namespace, or set CONFIRM to it. Backups are never
# touched. Tells how long it took. FILE: its name in the claim database-backups, project-ai-TIME.dump.age.
set -euo pipefail
usage="usage: restore.sh NAMESPACE [--replace] [FILE]"
namespace=${1:?$usage}
shift
replace=no
if [[ ${1:-} == --replace ]]; then
    replace=yes
    shift
fi
file=${1:-}
source "$(dirname "$0")/common.sh"
[[ $# -le 1 && $file != -* ]] || fail "$usage" 2

if [[ ${CONFIRM:-} != "$namespace" ]]; then
    read -r -p "This throws away what is in the database of $namespace. Its name, to go on: " answer || answer=
    [[ $answer == "$namespace" ]] || fail "nothing was touched" 2
fi
k get persistentvolumeclaim database-backups > /dev/null || fail "there are no backups here: nothing was touched"
begun=$(date +%s)

made_anew() {
    say "removing what is left of the database"
    k scale statefulset postgresql --replicas 0 > /dev/null
    for ((i = 0; i < 240; i++)); do
        [[ -n $(k get pods --selector app=postgresql --output name) ]] || break
        sleep 0.5
    done
    [[ -z $(k get pods --selector app=postgresql --output name) ]] ||
        fail "pods of postgresql do not end: is a node away? Switch it off, delete them with --force, and run this again"
    k delete persistentvolumeclaim data-postgresql-0 data-postgresql-1 --ignore-not-found --timeout 120s > /dev/null
    # The new one begins as at first: postgresql-0 is the primary.
    k patch configmap postgresql-primary --type merge --patch '{"data": {"name": "postgresql-0"}}' > /dev/null
    k patch service postgresql --type merge \
        --patch '{"spec": {"selector": {"statefulset.kubernetes.io/pod-name": "postgresql-0"}}}' > /dev/null
    say "making a new one"
    k scale statefulset postgresql --replicas 2 > /dev/null
    until k get pod postgresql-0 > /dev/null 2>&1; do sleep 0.5; done
    k wait --for condition=Ready pod/postgresql-0 --timeout 180s > /dev/null
}

[[ $replace == yes ]] || made_anew
run_job database-restore "" "FILE=$file" "REPLACE=$replace"
k wait --for condition=Available deployment/project-ai-api --timeout 120s > /dev/null
say "$namespace serves again, $(($(date +%s) - begun)) s after the beginning"
k logs "job/$job" --tail 1 >&2
