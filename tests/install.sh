#!/bin/sh
# Installs the Debian or Ubuntu packages that the tests need and that are missing; says which and why.
# Does nothing, quickly, when all is there. Any other system: install the same things by its own means.
set -eu

missing=""

# need "what for" package… -- command that succeeds when it is there
need() {
    what=$1 packages=""
    shift
    while [ "$1" != -- ]; do packages="$packages $1"; shift; done
    shift
    if ! "$@" >/dev/null 2>&1; then
        echo "missing: $what (packages:$packages)"
        missing="$missing$packages"
    fi
}

one_of() { for name in "$@"; do command -v "$name" && return 0; done; return 1; }
postgres() { command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; }
php_has() { for name in "$@"; do php -r "exit((int) !extension_loaded('$name'));" || return 1; done; }
laravel() { php -r "exit((int) !stream_resolve_include_path('Illuminate/autoload.php'));"; }
PATH=$PATH:/usr/sbin:/sbin

need "Python's venv" python3-venv -- python3 -c 'import venv, ensurepip'
need "make and a C compiler, for the floor of the fan-out bench" build-essential -- one_of cc gcc
need "callgrind, to count instructions" valgrind -- one_of callgrind_control
need "Redis server" redis-server -- one_of redis-server
need "Valkey server" valkey-tools -- one_of valkey-check-rdb
need "MariaDB server" mariadb-server -- one_of mariadbd mysqld
need "PostgreSQL server" postgresql -- postgres
need "pgbouncer, before PostgreSQL" pgbouncer -- one_of pgbouncer
need "PHP" php-cli -- one_of php
need "PHP extensions" php-curl php-mbstring php-mysql php-pgsql php-redis php-sqlite3 php-xml \
    -- php_has curl mbstring pdo_mysql pdo_pgsql redis pdo_sqlite dom
need "Laravel" php-laravel-framework -- laravel
need "Node" nodejs -- one_of node
need "npm" npm -- one_of npm
need "Chromium" chromium -- one_of chromium chromium-browser
need "nginx, as a proxy" nginx -- one_of nginx
need "Caddy, as a proxy" caddy -- one_of caddy
need "Apache, as a proxy" apache2 -- one_of apache2
need "HAProxy, as a proxy" haproxy -- one_of haproxy
need "supervisor" supervisor -- one_of supervisord
need "ip, for networks of faults" iproute2 -- one_of ip
need "buildah, to build the images" buildah -- one_of buildah
need "debootstrap, for their base" debootstrap debian-archive-keyring -- one_of debootstrap
need "systemd, to verify its unit" systemd -- one_of systemd-analyze

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This is no Debian or Ubuntu: install the above by hand, then run make test again." >&2
    exit 1
fi

as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
echo "installing with apt-get:$missing"
echo "(the tests start servers of their own on free ports; the packages' own services are not used)"
$as_root apt-get update -q
case $missing in *valkey-tools*)
    # Debian 12 has it among its backports only, which are asked for this one package.
    if ! apt-cache show valkey-tools >/dev/null 2>&1; then
        codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
        # shellcheck disable=SC2016  # apt's own words
        mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
            sed -n 's/^Debian Debian //p' | head -n 1)
        more=$(mktemp -d)
        trap 'rm -rf "$more"' EXIT
        cat /etc/apt/sources.list >"$more/list" 2>/dev/null || true
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $codename-backports main" \
            >>"$more/list"
        backports="-o Dir::Etc::sourcelist=$more/list"
        # shellcheck disable=SC2086
        $as_root apt-get $backports update -q
        # shellcheck disable=SC2086
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get $backports install -qy --no-install-recommends valkey-tools
        missing=$(echo "$missing" | sed 's/ valkey-tools//')
    fi ;;
esac
# shellcheck disable=SC2086  # a list of names
[ -z "$missing" ] || $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
