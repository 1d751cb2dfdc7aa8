# SPDX-License-Identifier: LGPL-2.1-or-later
# QEMU and libvirt as Debian's source packages: apt checks the hashes, Debian's
# patches are applied (the stripped QEMU tarball does not build without them).

QEMU_VERSION=10.0.13
LIBVIRT_VERSION=11.3.0

# source_dir NAME: the unpacked tree as it is called inside the root directory.
source_dir() {
    echo "/src/$(readlink "$LAB_CACHE/src/$1")"
}

# source_key NAME VERSION: the key of the step that fetches the source.
#
# Our graft takes over a tree that an older checkout's has changed.  The reverse does
# not work, so an older checkout must not find its own key: it fetches the source again.
source_key() {
    local stamp=$LAB_CACHE/stamp/$1-source
    if [ "$(cat "$stamp" 2>/dev/null)" = "$2" ]; then
        echo "$2 graft-git" >"$stamp"
    fi
    echo "$2 graft-git"
}

# fetch_source NAME VERSION: make /src/NAME, a link to /src/NAME-VERSION.
#
# Any Debian revision of the upstream version will do.  If a newer stable release
# has taken its place in the archive, the newest of the same series is used.
fetch_source() {
    local name=$1 version=$2
    # The network may be another one than when the root directory was made.
    cp -L /etc/resolv.conf "$LAB_ROOT/etc/resolv.conf" 2>/dev/null || true
    in_root bash -e -s "$name" "$version" <<'IN_ROOT'
set -o pipefail
name=$1 want=$2 series=${2%.*}

# A package list of its own, so that the root directory stays as it is.
mkdir -p /tmp/apt/lists/partial
{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
    sed -n 's/^deb /deb-src /p' | sort -u >/tmp/apt/sources.list
cat >/tmp/apt/conf <<CONF
Dir::Etc::SourceList "/tmp/apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "/tmp/apt/lists";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=/tmp/apt/conf
apt-get update

upstream() {
    sed -E 's/^[0-9]+://; s/-[^-]*$//; s/\+.*//'
}
apt-cache showsrc --only-source "$name" | sed -n 's/^Version: //p' | sort -uV >/tmp/apt/versions
chosen='' newest=''
while read -r version; do
    case $(echo "$version" | upstream) in
    "$want") chosen=$version ;;
    "$series".*) newest=$version ;;
    esac
done </tmp/apt/versions
if [ -z "$chosen" ] && [ -n "$newest" ]; then
    chosen=$newest
    echo "note: $name $want is gone from the archive, taking $chosen"
fi
if [ -z "$chosen" ]; then
    echo "no $name $series.x in the archive, only: $(paste -sd' ' /tmp/apt/versions)"
    exit 1
fi

# A mirror may lack the .dsc: the two archives are all that is needed, and apt
# checks them against the signed index either way.
rm -rf "/src/.$name"
mkdir "/src/.$name"
cd "/src/.$name"
for part in --tar-only --diff-only; do
    apt-get source --download-only "$part" "$name=$chosen"
done
mkdir tree
tar -xf "$name"_*.orig.tar.* -C tree --strip-components=1
tar -xf "$name"_*.debian.tar.* -C tree
cd tree
sed -E 's/(^|[[:space:]])#.*//; /^[[:space:]]*$/d' debian/patches/series |
    while read -r patch _; do
        echo "$patch"
        patch -p1 -s -F0 --no-backup-if-mismatch <"debian/patches/$patch"
    done
cd ../..
tree=$name-$(echo "$chosen" | upstream)
rm -rf "$tree"
mv ".$name/tree" "$tree"
ln -sfn "$tree" "$name"
rm -rf ".$name"
# Their times are older than any object's.
rm -f "/build/$name/.lab-configured"
IN_ROOT
}
