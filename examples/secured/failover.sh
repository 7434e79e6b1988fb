#!/bin/bash
# failover.sh NAMESPACE [--fenced]: make the standby the primary, because the primary is gone or shall go.
#
# The former primary is ended before the other one writes: two that write is what must never be. It comes back as a
# standby. Where its node does not answer, Kubernetes cannot say that it has ended: switch the machine off, then say so
# with --fenced. Safe to run again after it was interrupted, anywhere.
set -euo pipefail
namespace=${1:?"usage: failover.sh NAMESPACE [--fenced]"}
fenced=${2:-}
source "$(dirname "$0")/common.sh"

former=$(k get service postgresql --output 'jsonpath={.spec.selector.statefulset\.kubernetes\.io/pod-name}')
case $former in
    postgresql-0) next=postgresql-1 ;;
    postgresql-1) next=postgresql-0 ;;
    *) fail "the Service postgresql selects '$former'; wanted postgresql-0 or postgresql-1" 2 ;;
esac
inside() { k exec "$next" --container postgresql -- "$@"; }
uid_of_former() { k get pod "$former" --ignore-not-found --output 'jsonpath={.metadata.uid}'; }
ask() { inside psql -XAtq --host /run/postgresql --dbname postgres --command "$1"; }

begun=$(date +%s)
received=$(ask "SELECT coalesce(pg_last_wal_replay_lsn()::text, 'none')" 2> /dev/null) ||
    fail "$next does not answer: it cannot take over. Nothing was touched"
say "$next has replayed up to $received"

# 1. From its next start on the former primary knows that it is none.
k patch configmap postgresql-primary --type merge --patch "{\"data\": {\"name\": \"$next\"}}" > /dev/null
# 2. It ends. Its successor under the same name starts as a standby, and waits for a primary.
uid=$(uid_of_former)
if [[ -n $uid ]]; then
    say "ending $former"
    k delete pod "$former" --grace-period 10 --wait=false > /dev/null 2>&1 || true
    for ((i = 0; i < 120; i++)); do
        [[ $(uid_of_former) == "$uid" ]] || break
        sleep 0.5
    done
    if [[ $(uid_of_former) == "$uid" ]]; then
        [[ $fenced == --fenced ]] ||
            fail "$former does not end: is its node away? Switch it off, then: failover.sh $namespace --fenced"
        k delete pod "$former" --force --grace-period 0 > /dev/null 2>&1 || true
    fi
fi
# 3. Now, and not before, the other one writes.
inside database-promote >&2
# 4. Everybody is sent there.
k patch service postgresql --type merge \
    --patch "{\"spec\": {\"selector\": {\"statefulset.kubernetes.io/pod-name\": \"$next\"}}}" > /dev/null
say "$next is the primary after $(($(date +%s) - begun)) s"

say "waiting until $former follows it"
for ((i = 0; i < 600; i++)); do
    if [[ $(ask "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'" 2> /dev/null) == 1 ]]; then
        say "$former is a hot standby again, after $(($(date +%s) - begun)) s"
        exit 0
    fi
    sleep 0.5
done
fail "$next is the primary, but $former does not follow it yet: kubectl --namespace $namespace logs $former"
