#!/bin/sh
# Begins a container of MariaDB, by the same variables as the image of the same name.
set -eu
case "${1:--}" in
    -*) set -- mariadbd "$@" ;;
esac
if [ "$1" != mariadbd ]; then
    exec "$@"
fi
shift
data=/var/lib/mysql
# Debian's settings send the log to a file and let only this machine in: none of them is read.
as_mysql() {
    setpriv --reuid=mysql --regid=mysql --init-groups -- "$@"
}
install -d -o mysql -g mysql -m 755 /run/mysqld
accounts=$(mktemp)
chown mysql "$accounts"
if [ ! -d "$data/mysql" ]; then
    password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
    if [ -z "$password" ]; then
        echo "error: there is no data yet, and \`MARIADB_ROOT_PASSWORD\` does not say with which password to make it" >&2
        exit 1
    fi
    # In a text of SQL, both are doubled.
    password=$(printf '%s' "$password" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")
    install -d -o mysql -g mysql -m 750 "$data"
    as_mysql mariadb-install-db --no-defaults --skip-test-db --datadir="$data" --auth-root-authentication-method=normal
    cat >"$accounts" <<END
DROP USER IF EXISTS ''@'localhost', 'root'@'127.0.0.1', 'root'@'::1';
ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
END
fi
exec setpriv --reuid=mysql --regid=mysql --init-groups -- \
    mariadbd --no-defaults --datadir="$data" --bind-address=0.0.0.0 --socket=/run/mysqld/mysqld.sock \
    --pid-file=/run/mysqld/mysqld.pid --init-file="$accounts" --skip-name-resolve "$@"
