#!/bin/bash
# release.sh VERSION [staging] [production]: one version, from staging into production. Both when none is named.
#
#   staging      migrate, load, `canary start`, smoke test
#   production   backup, migrate, `canary start`: 10 %, watch, 25 %, 50 %, promote, bake; smoke test
#   finally      the version is written into the overlay, so that applying it again changes nothing
#
# Stops at the first no. Its exit code is canary's (0 promoted, 3 rolled back, ...); 7 when a smoke test said no, and the
# version is undone; 1 when a Job failed. Safe to run again: what was done is done once more or found done.
# CANARY_FLAGS: for `canary start`, such as --plain. IMAGE: without its tag; project-ai/core. STAGING_KUBECONFIG,
# PRODUCTION_KUBECONFIG: of the account that releases there, see `account` in the README; KUBECONFIG where not given.
set -euo pipefail
version=${1:?"usage: release.sh VERSION [staging] [production]"}
shift
[[ $# -gt 0 ]] || set -- staging production
namespace=
source "$(dirname "$0")/common.sh"
image=${IMAGE:-project-ai/core}:$version

judged() { # CONFIG
    local code=0
    # shellcheck disable=SC2086 # several flags
    canary start "$version" --file "$1" ${CANARY_FLAGS:-} || code=$?
    [[ $code == 0 ]] || fail "$namespace: $version is not promoted (exit $code)" "$code"
    if ! run_job project-ai-smoke "" "EXPECTED=$version"; then
        say "$namespace: the smoke test says no: undone"
        canary undo --file "$1" --why "the smoke test of $version failed"
        exit 7
    fi
}

written() { # OVERLAY
    sed --in-place "s|newTag: .*}|newTag: $version}|" "$here/overlays/$1/release/kustomization.yaml"
    say "overlays/$1 has $version: commit it"
}

in_staging() {
    namespace=project-ai-staging
    [[ -z ${STAGING_KUBECONFIG:-} ]] || export KUBECONFIG=$STAGING_KUBECONFIG
    run_job project-ai-migrate "$image"
    load=project-ai-load-$(date -u +%d%H%M%S)
    start_job "$load" project-ai-load ""
    trap 'k delete job "$load" --wait=false > /dev/null' EXIT
    judged "$here/staging.yaml"
    written staging
}

in_production() {
    namespace=project-ai-prod
    [[ -z ${PRODUCTION_KUBECONFIG:-} ]] || export KUBECONFIG=$PRODUCTION_KUBECONFIG
    run_job database-backup
    run_job project-ai-migrate "$image"
    judged "$here/canary.yaml"
    written production
}

for environment in "$@"; do
    case $environment in
        staging) (in_staging) ;;
        production) (in_production) ;;
        *) fail "no such environment: $environment; there are staging and production" 2 ;;
    esac
done
say "$version is through"
