#!/bin/sh
# Starts MariaDB in the foreground, on a new data directory where there is none yet. `root` needs no password from
# anywhere; `app` has the password `secret`.
set -eu
data=/var/lib/mysql
if [ ! -d "$data/mysql" ]; then
    # A statement ends where a line ends with its semicolon.
    {
        echo 'create database mysql;'
        echo 'use mysql;'
        echo 'set @auth_root_socket = null, @skip_auth_anonymous = 1;'
        cat /usr/share/mysql/mysql_system_tables.sql /usr/share/mysql/mysql_system_tables_data.sql
        echo 'flush privileges;'
        echo "create or replace user root@'%';"
        echo "grant all on *.* to root@'%' with grant option;"
        echo "create or replace user app@'%' identified by 'secret';"
    } | mariadbd --no-defaults --bootstrap --datadir="$data" --innodb-flush-log-at-trx-commit=0
fi
exec mariadbd --no-defaults --datadir="$data" --socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0 "$@"
