# SPDX-License-Identifier: LGPL-2.1-or-later
# The root directory of the lab: Debian 13 with the packages of tests/lab.d/packages
# and packages-tests, made by mmdebstrap from the host's own mirror and verified
# with Debian's keys.

SUITE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# packages LIST...: what stands in those files of tests/lab.d.
packages() {
    (cd "$LAB_D" && sed 's/#.*//' "$@") | tr -s ' \n' '\n\n' | sort -u | sed '/^$/d'
}

in_root() {
    "$LAB_D/in-root" "$@"
}

# What the root directory holds, to the version.
root_versions() {
    cat "$LAB_ROOT/var/lib/dpkg/status"
}

# The same of the packages that tests/lab.d/packages and packages-tests name: what tests
# run with, without all that it needs in turn.
listed_versions() {
    root_versions | awk '
        FILENAME != "-" { listed[$1] = 1; next }
        /^Package: / { name = $2 }
        /^Version: / && name in listed { print name, $2 }' \
        <(packages packages packages-tests) -
}

# The same of what compiles and is compiled against: with newer headers, objects that
# were made with the old ones are not up to date, whatever their times.
toolchain() {
    root_versions | awk '
        /^Package: / { name = $2 }
        /^Version: / && name ~ /-dev$|^(gcc|g\+\+|cpp|binutils|clang|linux-source|meson|ninja-build|python3)(-|\.|$)/ {
            print name, $2
        }'
}

# What the lab needs on the host itself; the rest lives in the root directory.
host_packages() {
    local missing=''
    command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
        die "this host has no apt: the lab needs a Debian 12 or 13 host (a container with --privileged will do)"
    [ "$(dpkg --print-architecture)" = amd64 ] ||
        die "the lab runs on amd64 only, this host is $(dpkg --print-architecture)"
    command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
    command -v flock >/dev/null && command -v unshare >/dev/null &&
        command -v setpriv >/dev/null || missing="$missing util-linux"
    command -v mount >/dev/null || missing="$missing mount"
    [ -e "$KEYRING" ] || missing="$missing debian-archive-keyring"
    if [ -z "$missing" ]; then
        return "$UNCHANGED"
    fi
    apt-get update
    # shellcheck disable=SC2086  # a list
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

# The sources.list of the root directory.  Where the host's apt knows a mirror of
# Debian, that one is used; else mmdebstrap's default (no line at all).
mirror_lines() {
    apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sort -u | awk -F'|' -v suite="$SUITE" '
            $1 == "Debian" && !main { main = $2 }
            $1 == "Debian-Security" && !security { security = $2 }
            END {
                if (!main) exit
                print "deb " main " " suite " main"
                print "deb " main " " suite "-updates main"
                if (security) print "deb " security " " suite "-security main"
            }'
}

# The host's way to the network (a proxy, say) holds for the root directory too.
apt_options() {
    apt-config dump 2>/dev/null |
        grep -E '^Acquire::(https?::Proxy|https?::Proxy::[^ ]*|Retries|Check-Valid-Until|Check-Date) ".+";' || true
}

# A shell script that takes one collection of Ansible's out of a package that has a
# hundred of them, in 200 MB.
ansible_collection() {
    cat <<SCRIPT
cd /tmp
apt-get -o APT::Sandbox::User=root download ansible
dpkg-deb --fsys-tarfile ansible_*.deb |
    tar -x -C / --wildcards "*/dist-packages/ansible_collections/$1/*"
rm ansible_*.deb
SCRIPT
}

make_root() {
    local new=$LAB_ROOT.new list=$LAB_CACHE/root.list options=() line
    while read -r line; do
        options+=("--aptopt=${line%;}")
    done < <(apt_options)
    for line in doc man locale info lintian; do
        options+=("--dpkgopt=path-exclude=/usr/share/$line/*")
    done
    options+=("--customize-hook=chroot \"\$1\" sh -e -c '$(ansible_collection community/libvirt)'")
    set --
    mirror_lines >"$list"
    if [ -s "$list" ]; then
        set -- "$list"
    fi
    rm -rf --one-file-system "$new"
    mmdebstrap --variant=minbase --mode=root --keyring="$KEYRING" \
        --include="$(packages packages packages-tests | paste -sd,)" \
        "${options[@]}" "$SUITE" "$new" "$@"
    mkdir -p "$new"/{quota-lvm,src,build,ccache,installed,stage,image,machines,opt/quota-lvm}
    rm -rf --one-file-system "$LAB_ROOT.old"
    if [ -d "$LAB_ROOT" ]; then
        mv "$LAB_ROOT" "$LAB_ROOT.old"
    fi
    mv "$new" "$LAB_ROOT"
    rm -rf --one-file-system "$LAB_ROOT.old"
}
