# Sourced by the scripts beside it. Wants $namespace. Everything goes through kubectl, KUBECONFIG says whose.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }

fail() {
    say "$1"
    exit "${2:-1}"
}

k() { kubectl --namespace "$namespace" "$@"; }

# run_job CRONJOB [IMAGE] [NAME=VALUE...]: make a Job of a CronJob, perhaps with another image and variables, and wait
# until it is over. Prints what it said when it fails.
run_job() {
    local cronjob=$1 image=${2:-}
    job=$cronjob-$(date -u +%d%H%M%S)
    say "$namespace: $cronjob"
    start_job "$job" "$cronjob" "$image" "${@:3}"
    wait_job "$job"
}

start_job() {
    local name=$1 cronjob=$2 image=$3
    k create job "$name" --from "cronjob/$cronjob" --dry-run=client --output json |
        if [[ -n $image ]]; then k set image --local --filename - "*=$image" --output json; else cat; fi |
        if [[ $# -gt 3 ]]; then k set env --local --filename - "${@:4}" --output json; else cat; fi |
        k create --filename - > /dev/null
}

wait_job() {
    local state
    for ((i = 0; i < 3600; i++)); do
        state=$(k get job "$1" --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
        case $state in
            *Complete*) return 0 ;;
            *Failed*)
                k logs --tail 50 --selector "job-name=$1" --all-containers >&2 || true
                say "$namespace: the Job $1 has failed"
                return 1
                ;;
        esac
        sleep 1
    done
    say "$namespace: the Job $1 does not end"
    return 1
}
