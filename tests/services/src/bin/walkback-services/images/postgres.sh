#!/bin/sh
# Begins a container of PostgreSQL, by the same variables as the image of the same name.
set -eu
case "${1:--}" in
    -*) set -- postgres "$@" ;;
esac
if [ "$1" != postgres ]; then
    exec "$@"
fi
shift
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
data=${PGDATA:-/var/lib/postgresql/data}
as_postgres() {
    setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
}
install -d -o postgres -g postgres -m 775 /var/run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "error: there is no database yet, and \`POSTGRES_PASSWORD\` does not say with which password to make it" >&2
        exit 1
    fi
    install -d -o postgres -g postgres -m 700 "$data"
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    chown postgres "$password"
    as_postgres initdb --username="$user" --pwfile="$password" --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync --pgdata="$data"
    rm "$password"
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    if [ "$database" != postgres ]; then
        # The name is quoted for SQL: a quote in it is doubled.
        quoted=$(printf '%s' "$database" | sed 's/"/""/g')
        printf 'CREATE DATABASE "%s"\n' "$quoted" | as_postgres postgres --single -D "$data" postgres
    fi
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups -- \
    postgres -D "$data" -c listen_addresses='*' "$@"
