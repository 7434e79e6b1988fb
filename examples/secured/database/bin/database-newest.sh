# Sourced by those who read a backup. Finds the one that $FILE names, else the newest, checks its sum and decrypts it to
# $work/dump. Sets $name. Wants $work and say().
backups=${BACKUPS:-/backups}
identity=${IDENTITY:-/run/secrets/backup-identity/identity}

newest_decrypted() {
    local file=${FILE:-}
    if [[ -z $file ]]; then
        file=$(find "$backups" -maxdepth 1 -name '*.dump.age' -printf '%f\n' | sort | tail -n 1)
    fi
    [[ -n $file && -s $backups/$file ]] || { say "there is no backup ${file:+$file }in $backups"; exit 1; }
    name=${file%.dump.age}
    (cd "$backups" && sha256sum --check --quiet --strict "$name.sha256") || {
        say "$file is not what was backed up: its sum is another. Name an older one in FILE"
        exit 1
    }
    age --decrypt --identity "$identity" --output "$work/dump" "$backups/$file" || {
        say "$file cannot be decrypted with the key in $identity"
        exit 1
    }
    say "$file: sum and key are good"
}
