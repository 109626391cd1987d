#!/bin/sh
# Debian releases whose packages hold other Laravels and PHPs, each in a folder of its own, made once and kept:
#
#   trixie   Laravel 10, PHP 8.4
#   forky    Laravel 13, PHP 8.4 (a release in the making: it moves)
#   bookworm Python 3.11 and no PHP: what the images of docker/Dockerfile are built over in the tests
#
# usage: sh tests/roots.sh [RELEASE…]
#
# Prints for each release the folder that holds its `php`, for bookworm the root itself. With that folder first in PATH, whatever starts `php`
# gets that release's: it runs in the root, sees /tmp, the home folder and this checkout at their own paths, and
# keeps its descriptors. BRIDGE_ROOTS says where the roots lie, BRIDGE_DEBIAN_MIRROR from where they come;
# else the mirror is the one that apt has. Needs root, for chroot and for mounts that only the process itself sees.
set -eu

roots=${BRIDGE_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/bridge-roots}
checkout=$(cd "$(dirname "$0")/.." && pwd)
packages="php-cli php-bcmath php-curl php-intl php-mbstring php-mysql php-pgsql php-redis php-sqlite3 php-xml tzdata
    php-laravel-framework"
# The wrappers name the checkout that they show to PHP, so each checkout has its own.
wrappers=$checkout/.venv/roots
python_packages="ca-certificates python3 python3-venv python-is-python3"
kept_days=30
attempts=4
temporary=${TMPDIR:-/tmp}

fail() {
    echo "tests/roots.sh: $1" >&2
    exit 1
}

as_root() { [ "$(id -u)" = 0 ] || fail "a Debian root is made and entered as root; run this as root, or only \`make test\`"; }

mirror() {
    [ -z "${BRIDGE_DEBIAN_MIRROR:-}" ] || { echo "$BRIDGE_DEBIAN_MIRROR"; return; }
    # shellcheck disable=SC2016  # apt's own words
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's/^Debian Debian //p' | head -n 1
}

# The part of a root's recipe that a change of must make it anew.
recipe() { { echo "$1 $packages"; sed -n '/^make_root()/,/^}/p' "$0"; } | cksum; }

make_root() {
    release=$1 root=$roots/$1 from=$(mirror)
    [ -n "$from" ] || fail "apt knows no Debian mirror: name one in BRIDGE_DEBIAN_MIRROR"
    command -v debootstrap >/dev/null && [ -d /usr/share/keyrings ] ||
        { apt-get update -q && apt-get install -qy --no-install-recommends debootstrap debian-archive-keyring; } >&2
    echo "making $root from $from: a few minutes and 700 MB, once" >&2
    rm -rf "$root"
    mkdir -p "$root"
    script=/usr/share/debootstrap/scripts/$release
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    debootstrap --variant=minbase "$release" "$root" "$from" "$script" >&2 ||
        fail "$release cannot be had from $from (see above, and $root/debootstrap/debootstrap.log)"
    # Nothing is started in there. A release in the making may have indices past their date; they stay signed.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2086  # a list of names
    chroot "$root" sh -c 'export DEBIAN_FRONTEND=noninteractive
        apt-get -o Acquire::Check-Valid-Until=false update -q && apt-get install -qy --no-install-recommends "$@" &&
        apt-get clean && rm -rf /var/lib/apt/lists/*' sh $packages >&2 ||
        fail "the packages of $release cannot be installed (see above)"
    # Laravel 11 and later look for the framework's own defaults here; Debian has them elsewhere.
    [ ! -d "$root/usr/share/php/Illuminate/config" ] || ln -sfn php/Illuminate/config "$root/usr/share/config"
}

wrapper() {
    mkdir -p "$2"
    cat >"$2/php.new" <<END
#!/bin/sh
# PHP of $1; made by tests/roots.sh.
exec unshare --mount --propagation private sh -c '
    for folder in /proc /dev "\$HOME" "$temporary" "$checkout" "\$PWD"; do
        case \$folder in /|/usr*|/etc*|/var|/lib*|/bin*|/sbin*) continue ;; esac
        [ -e "$roots/$1\$folder" ] || mkdir -p "$roots/$1\$folder"
        mount --rbind "\$folder" "$roots/$1\$folder"
    done
    exec chroot "$roots/$1" /usr/bin/env -C "\$PWD" /usr/bin/php "\$@"' php "\$@"
END
    chmod +x "$2/php.new"
    mv "$2/php.new" "$2/php"
}

as_root
mkdir -p "$roots"
[ $# -gt 0 ] || set -- trixie forky
php_packages=$packages
for release in "$@"; do
    packages=$php_packages
    [ "$release" != bookworm ] || packages=$python_packages
    made=$roots/$release.made
    if [ "$(cat "$made" 2>/dev/null)" != "$(recipe "$release")" ] || [ -n "$(find "$made" -mtime +$kept_days)" ]; then
        rm -f "$made"
        number=1
        until (make_root "$release"); do
            [ "$number" -lt "$attempts" ] || fail "$release could not be made, $attempts times (see above)"
            echo "a mirror may be away, or amid its own update: again in $((number * 20)) s" >&2
            sleep $((number * 20))
            number=$((number + 1))
        done
        recipe "$release" >"$made"
    fi
    [ "$release" != bookworm ] || { echo "$roots/bookworm"; continue; }
    wrapper "$release" "$wrappers/$release"
    "$wrappers/$release/php" -r 'require "Illuminate/autoload.php";' ||
        fail "PHP of $release does not run in $roots/$release (unshare, mount and chroot have to be allowed)"
    echo "$wrappers/$release"
done
