# Sourced by those who restore a backup to look at it: a server of their own in a folder, on a socket only, that is gone
# with them; and what is counted to compare. Wants $work, a folder to work in.
scratch_start() {
    initdb --pgdata "$work/scratch" --username scratch --encoding UTF8 --locale C.UTF-8 --auth-local trust --auth-host reject \
        --no-instructions --no-sync > /dev/null
    # It has nothing to lose: nothing is synced.
    pg_ctl --pgdata "$work/scratch" --wait --silent --log "$work/scratch.log" --options \
        "-c listen_addresses='' -c unix_socket_directories='$work' -c fsync=off -c full_page_writes=off" start
    createdb --host "$work" --username scratch restored
}

scratch_restore() {
    pg_restore --host "$work" --username scratch --dbname restored --exit-on-error --single-transaction --no-owner --no-privileges "$1"
}

scratch_stop() {
    if [[ -s $work/scratch/postmaster.pid ]]; then
        pg_ctl --pgdata "$work/scratch" --silent --mode immediate stop || true
    fi
}

# The rows of every table, a line each: `TABLE ROWS`.
counted="SELECT format('%I.%I', table_schema, table_name) || ' ' ||
    (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', table_schema, table_name), false, true, '')))[1]
    FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"

scratch_counts() {
    psql -XAtq --host "$work" --username scratch --dbname restored --set ON_ERROR_STOP=1 --command "$counted"
}
