#!/bin/bash
# secrets.sh NAMESPACE: make every Secret that the deployment mounts, with new random passwords, a certificate authority
# of the database's own, and a key pair for its backups. One that is there is left as it is, so twice is harmless.
#
# For a first installation, and for where no vault is: components/ has External Secrets and Vault instead.
# Needs kubectl, openssl and age-keygen (Debian: age). OPENAI_KEY_FILE and HF_KEY_FILE: files with the keys.
# BACKUP_RECIPIENT: a further public key of age, of an identity that is kept outside of the cluster. Give one: the
# identity in the cluster is lost with the cluster.
set -euo pipefail
umask 077
namespace=${1:?"usage: secrets.sh NAMESPACE"}
source "$(dirname "$0")/common.sh"
for program in kubectl openssl age-keygen; do
    command -v "$program" > /dev/null || fail "there is no $program on PATH" 2
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

missing() { ! k get "$1" "$2" --output name > /dev/null 2>&1; }

for name in project-ai-database postgresql-replication postgresql-backup; do
    if missing secret "$name"; then
        openssl rand -hex 32 | tr -d '\n' > "$work/password"
        k create secret generic "$name" --from-file "password=$work/password"
    fi
done

if missing secret postgresql-tls; then
    # The key of the authority is thrown away: a new certificate means a new authority, and both are in this Secret.
    names="DNS:postgresql,DNS:postgresql-0,DNS:postgresql-1,DNS:postgresql.$namespace.svc,DNS:postgresql.$namespace.svc.cluster.local"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 825 -subj "/CN=$namespace database authority" \
        -keyout "$work/ca.key" -out "$work/ca.crt" 2> /dev/null
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=postgresql \
        -keyout "$work/tls.key" -out "$work/tls.csr" 2> /dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names" > "$work/extensions"
    openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 824 \
        -extfile "$work/extensions" -out "$work/tls.crt" 2> /dev/null
    k create secret generic postgresql-tls --from-file "$work/ca.crt" --from-file "$work/tls.crt" --from-file "$work/tls.key"
fi

if missing secret backup-identity; then
    age-keygen --output "$work/identity" 2> /dev/null
    { age-keygen -y "$work/identity"; [[ -z ${BACKUP_RECIPIENT:-} ]] || echo "$BACKUP_RECIPIENT"; } > "$work/recipients"
    k create secret generic backup-identity --from-file "$work/identity"
    k create configmap backup-recipients --from-file "$work/recipients"
    [[ -n ${BACKUP_RECIPIENT:-} ]] || say "backups can be read with the Secret backup-identity only: keep a copy elsewhere"
fi

if missing secret api-keys; then
    for key in openai-key:OPENAI_KEY_FILE hf-key:HF_KEY_FILE; do
        file=${key#*:}
        if [[ -n ${!file:-} ]]; then cp "${!file}" "$work/${key%:*}"; else echo none > "$work/${key%:*}"; fi
    done
    k create secret generic api-keys --from-file "$work/openai-key" --from-file "$work/hf-key"
fi
