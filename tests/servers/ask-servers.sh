#!/bin/sh
# Changes the data of the four servers at these HOST:PORT, and says what each has counted: launches that it remembers, and
# ends by SIGTERM.
#
#     ask-servers POSTGRES REDIS NGINX PYTHON
set -eu
query() { psql --host="${1%:*}" --port="${1#*:}" --username=postgres --no-align --tuples-only --quiet --command="$2"; }
fetch() { wget -q -O - "http://$1"; }
lines() { grep -c "$1" || true; }

query "$1" 'create table if not exists launches (at timestamptz); insert into launches values (now())'
echo "postgres $(query "$1" 'select count(*) from launches')"
echo "redis $(redis-cli -h "${2%:*}" -p "${2#*:}" incr launches)"
fetch "$3/requests" >/dev/null
echo "nginx $(fetch "$3/requests" | lines /requests), $(fetch "$3/events" | lines 'signal 15 (SIGTERM) received.*exiting')"
echo "python $(fetch "$4/count"), $(fetch "$4/events" | lines SIGTERM)"
