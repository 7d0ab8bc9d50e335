#!/usr/bin/env bash
# Makes a local image with the real PostgreSQL, Redis, MariaDB or nginx of the Debian (or Ubuntu) release that this machine
# runs, without a container registry:
#
#     build.sh postgres|redis|mariadb|nginx|four|brokers REPOSITORY TAG DIRECTORY
#
# gives REPOSITORY:TAG and REPOSITORY-healthcheck:TAG, the same with a HEALTHCHECK every 30 s. The image `four` contains
# PostgreSQL, Redis, nginx and Python; `brokers` contains RabbitMQ, NATS, memcached, Mosquitto, dnsmasq and beanstalkd. These two
# have no HEALTHCHECK.
#
# The packages are only downloaded and unpacked (apt checks their signatures), with a package state of its own
# below DIRECTORY: nothing is installed on this machine, no service is started, and root is not needed.
set -euo pipefail

if [ $# -ne 4 ]; then
    echo "usage: build.sh postgres|redis|mariadb|nginx|four|brokers REPOSITORY TAG DIRECTORY" >&2
    exit 2
fi
server=$1 repository=$2 tag=$3 directory=$4
here=$(cd "$(dirname "$0")" && pwd)

for tool in apt-get dpkg-deb tar docker; do
    if ! command -v "$tool" >/dev/null; then
        echo "build.sh: $tool is not installed; the server images are made from Debian's packages" >&2
        exit 1
    fi
done

case $server in
    postgres) packages=(postgresql busybox-static) health='pg_isready --username=postgres' ;;
    redis) packages=(redis-server busybox-static) health='redis-cli ping' ;;
    mariadb) packages=(mariadb-server-core mariadb-client-core busybox-static)
        health='mariadb --user=root --execute="select 1"' ;;
    nginx) packages=(nginx busybox-static) health='nc -z 127.0.0.1 8080' ;;
    four) packages=(postgresql redis-server nginx python3 busybox-static) health= ;;
    brokers) packages=(rabbitmq-server nats-server memcached mosquitto dnsmasq-base beanstalkd busybox-static) health= ;;
    *) echo "build.sh: no server $server" >&2; exit 2 ;;
esac

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
state=$directory/apt
packages_directory=$state/packages-$server
root=$(mktemp -d "$directory/root.XXXXXX")
trap 'rm -rf "$root"' EXIT

mkdir -p "$state/lists/partial" "$state/cache" "$packages_directory/partial"
# As if nothing were installed here, so that every library comes along.
: >"$state/status"
apt() {
    apt-get --quiet --quiet \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true \
        -o Dir::State::Lists="$state/lists" -o Dir::State::Status="$state/status" \
        -o Dir::Cache="$state/cache" -o Dir::Cache::Archives="$packages_directory" "$@" >&2
}
apt update
# An older version of a package, left from an earlier run, would be unpacked too.
apt autoclean
apt install --yes --download-only --no-install-recommends "${packages[@]}"

chmod 755 "$root"
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{etc,tmp,run,data}
for merged in bin sbin lib lib64; do ln -s "usr/$merged" "$root/$merged"; done
mkdir -p "$root"/var/lib/{postgresql,mysql} "$root"/run/{postgresql,mysqld}
ln -s ../run "$root/var/run"
for package in "$packages_directory"/*.deb; do
    # What no server needs is by far the larger part.
    case ${package##*/} in
        libllvm*|libz3*|libperl*|perl*|locales*|libc-l10n*|postgresql-common*|postgresql-client-common*) continue ;;
    esac
    dpkg-deb --fsys-tarfile "$package" \
        | tar --extract --keep-directory-symlink --no-same-owner --directory "$root" \
            --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' \
            --exclude='./usr/share/perl*' --exclude='*/bitcode*' --exclude='*/llvmjit*' \
            --exclude='*/gconv/*' --exclude='./var/*'
done

# The shell, and the small programs that an entrypoint or a health check calls.
for applet in sh awk basename cat chmod cut dirname env grep head hostname id kill ls mkdir mktemp nc nslookup ps readlink rm \
    sed sleep test tr uname wc wget; do
    rm -f "$root/usr/bin/$applet"
    ln -s busybox "$root/usr/bin/$applet"
done
[ -e "$root/usr/bin/busybox" ] || { echo "build.sh: busybox is not where it was" >&2; exit 1; }
printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\nredis:x:998:998::/data:/bin/sh\nmysql:x:997:997::/var/lib/mysql:/bin/sh\nnginx:x:996:996::/:/bin/sh\nbroker:x:995:995::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' \
    >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:999:\nredis:x:998:\nmysql:x:997:\nnginx:x:996:\nbroker:x:995:\nnogroup:x:65534:\ndip:x:30:\n' >"$root/etc/group"
for entrypoint in "$here"/*-entrypoint.sh; do
    name=${entrypoint##*/}
    install -m 755 "$entrypoint" "$root/usr/bin/${name%.sh}"
done
if [ "$server" = nginx ]; then
    install -m 644 "$here/nginx.conf" "$root/etc/nginx/nginx.conf"
elif [ "$server" = four ]; then
    install -m 644 "$here/nginx-counting.conf" "$root/etc/nginx/nginx.conf"
    install -m 755 "$here/counting_server.py" "$root/usr/bin/counting-server"
    install -m 755 "$here/ask-servers.sh" "$root/usr/bin/ask-servers"
fi
chmod 1777 "$root"/{tmp,run,run/postgresql,run/mysqld,data,var/lib/postgresql,var/lib/mysql}

path=/usr/bin:/usr/sbin
changes=(--change "LABEL farrier.test-server=$server")
if [ "$server" = postgres ] || [ "$server" = four ]; then
    programs=$(cd "$root" && echo usr/lib/postgresql/*/bin)
    path=/$programs:$path
fi
if [ "$server" = postgres ]; then
    changes+=(--change 'USER postgres' --change 'VOLUME ["/var/lib/postgresql"]' --change 'EXPOSE 5432'
        --change 'ENTRYPOINT ["postgres-entrypoint"]')
elif [ "$server" = mariadb ]; then
    changes+=(--change 'USER mysql' --change 'VOLUME ["/var/lib/mysql"]' --change 'EXPOSE 3306'
        --change 'ENTRYPOINT ["mariadb-entrypoint"]')
elif [ "$server" = nginx ]; then
    changes+=(--change 'USER nginx' --change 'EXPOSE 8080' --change 'CMD ["nginx"]')
elif [ "$server" = brokers ]; then
    # Debian's own script runs RabbitMQ as one user only.
    programs=$(cd "$root" && echo usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)
    path=/$programs:$path
    changes+=(--change 'USER broker' --change 'ENV HOME=/tmp' --change 'ENV RABBITMQ_MNESIA_BASE=/tmp/mnesia'
        --change 'ENV RABBITMQ_LOG_BASE=/tmp/log' --change 'ENV RABBITMQ_LOGS=-')
elif [ "$server" = redis ]; then
    changes+=(--change 'USER redis' --change 'VOLUME ["/data"]' --change 'WORKDIR /data' --change 'EXPOSE 6379'
        --change 'CMD ["redis-server","--protected-mode","no","--save",""]')
fi
changes+=(--change "ENV PATH=$path")

# The plain tag comes last: whoever finds it finds both.
image=$(tar --create --directory "$root" --numeric-owner --owner=0 --group=0 . | docker import "${changes[@]}" -)
if [ -n "$health" ]; then
    container=$(docker create "$image")
    trap 'rm -rf "$root"; docker rm --volumes "$container" >/dev/null' EXIT
    docker commit --change "HEALTHCHECK --interval=30s --timeout=5s --retries=3 CMD $health" \
        "$container" "$repository-healthcheck:$tag" >/dev/null
fi
docker tag "$image" "$repository:$tag"
