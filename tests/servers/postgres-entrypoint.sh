#!/bin/sh
# Starts PostgreSQL in the foreground, on a new database cluster where there is none yet; everyone is trusted.
set -eu
PGDATA=${PGDATA:-/var/lib/postgresql/data}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --pgdata="$PGDATA" --username=postgres --auth=trust --no-locale --encoding=UTF8 --no-sync
    echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' "$@"
