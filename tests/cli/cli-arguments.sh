#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A command line that makes no sense is taken for one that does, or LVM is
# touched before all of it was checked.
# usage: cli-arguments.sh QUOTA-LVM QUOTA-LVMD METADATA-DISK TEXT-OF-A-GROUP
set -u
cli=$1 daemon=$2 disk=$3 text=$4
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

# Two groups on files: vg1 is vg0 by another name.  row GROUP FILE: what pvs says.
row() {
    printf '  %s\t1\t1\t%s\n' "$1" "$tmp/$2"
}
for group in vg0 vg1; do
    sed "s/^vg0 {/$group {/" "$text" >"$tmp/text"
    for uuid in $(sed -n '/^[[:space:]]*pv[0-9] {/,/}/s/.*id = "\(.*\)".*/\1/p' "$tmp/text" |
        tr -d -); do
        "$disk" "$tmp/$group-$uuid" "$uuid" <"$tmp/text" || exit 1
        row "$group" "$group-$uuid" >>"$tmp/rows"
    done
    cp "$tmp/rows" "$tmp/groups-to-$group"
done
: >"$tmp/groups-none"

# LVM's commands, as far as they are needed; each call leaves a line.
mkdir "$tmp/bin"
cat >"$tmp/bin/pvs" <<EOF
#!/bin/sh
echo "pvs \$*" >>"$tmp/calls"
if [ "\$GROUPS_THERE" = denied ]; then
    echo "  /run/lock/lvm/P_global:aux: open failed: Permission denied" >&2
    exit 5
fi
cat "$tmp/groups-\${GROUPS_THERE:-to-vg0}"
EOF
for command in lvchange lvrename lvconvert vgchange; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/calls"\n' $command "$tmp" \
        >"$tmp/bin/$command"
done
chmod +x "$tmp"/bin/*
PATH=$tmp/bin:$PATH
export PATH

# run STATUS PATTERN COMMAND...
run() {
    want=$1 pattern=$2
    shift 2
    : >"$tmp/calls"
    said=$("$@" 2>&1)
    got=$?
    if [ "$got" != "$want" ]; then
        echo "status $got, should be $want: $*: $said"
        failed=1
    fi
    if ! printf '%s\n' "$said" | grep -Eq -e "$pattern"; then
        echo "no match for /$pattern/: $*: $said"
        failed=1
    fi
}

# refused PATTERN COMMAND...: before LVM was asked anything
refused() {
    pattern=$1
    shift
    run 2 "$pattern" "$@"
    if [ -s "$tmp/calls" ]; then
        echo "LVM was called: $*: $(cat "$tmp/calls")"
        failed=1
    fi
}

run 0 '^quota-lvm [0-9]' "$cli" --version
run 0 'list .*show all tenants' "$cli" --help
run 0 'total-bytes-sec-max-length=SECONDS' "$cli" set --help
run 0 'interval=SECONDS' "$daemon" --help
refused 'which command' "$cli"
refused "no command 'lst'" "$cli" lst
refused "no argument 'acme'" "$cli" list acme
refused 'takes one tenant' "$cli" show
refused 'takes one tenant' "$cli" show a b
refused 'rollback takes a tenant and a snapshot' "$cli" rollback acme
refused "'Acme' is not a valid tenant name: it must" "$cli" rollback Acme one
refused "'Acme' is not a valid tenant name: it must" "$cli" show Acme
refused 'is not a valid volume group name' "$cli" show acme --group 'v g'
refused 'Unknown option --limt' "$cli" set acme --limt 5G
refused 'nothing to set' "$cli" set acme
refused "'0' would leave the tenant no space" "$cli" set acme --limit 0
refused "'-1' is negative" "$cli" set acme --limit -1
refused "'10Q' is not a size" "$cli" set acme --limit 10Q
refused "'9E999' is" "$cli" set acme --limit 9E999
refused "'16EiB' is too large" "$cli" set acme --limit 16EiB
refused 'is not a whole number' "$cli" set acme --total-iops-sec 5k
refused "'x' is not a size" "$cli" set acme --limit 5G --total-bytes-sec x
refused "'Acme' is not a valid tenant name" "$cli" check vg0/Acme
refused "is not a valid volume group name" "$cli" check 'v g/acme'
refused "'vg1/acme' is not in the group vg0" "$cli" check --group vg0 vg1/acme
refused 'interval must be between' "$daemon" --interval 0
refused 'interval must be between' "$daemon" --interval nan
refused "unexpected argument 'x'" "$daemon" x

run 1 'there is no tenant nope; there is acme in group vg0, globex in' \
    "$cli" set nope --limit 5G
run 1 'there is no tenant nope, nor any other: define' \
    env GROUPS_THERE=none "$cli" show nope
run 1 'Volume group "vg1" not found' \
    "$cli" list --group vg1
run 1 'which acme is meant: acme in group vg0, acme in group vg1\? .*--group' \
    env GROUPS_THERE=to-vg1 "$cli" show acme
run 0 'acme +1.00 GiB' "$cli" list
if ! grep -q '^pvs ' "$tmp/calls"; then
    echo "a call of LVM leaves no line: nothing above was checked"
    failed=1
fi
run 0 '^Thick|  thick volumes: +40.00 MiB' "$cli" show acme
# device-mapper knows no such pool here: the number is not known, not 0
run 0 '"used_bytes" : null' "$cli" show acme --json

# Who is not root is told so where that is why, and nowhere else.
as_user=
if [ "$(id -u)" = 0 ]; then
    run 1 'open failed: Permission denied$' env GROUPS_THERE=denied "$cli" list
    chmod -R go+rX "$tmp"
    chmod go+w "$tmp/calls"
    cp "$cli" "$tmp/quota-lvm"
    cli=$tmp/quota-lvm
    as_user="setpriv --reuid 65534 --regid 65534 --clear-groups"
fi
if $as_user "$cli" --version >/dev/null 2>&1; then
    run 1 'Permission denied \(quota-lvm needs root\)$' \
        $as_user env GROUPS_THERE=denied "$cli" list
    run 1 'cannot lock volume group vg0: Permission denied \(quota-lvm needs root\)$' \
        $as_user "$cli" set acme --limit 5G
    run 1 'there is acme in group vg0, globex in group vg0$' $as_user "$cli" show nope
    run 1 'Volume group "vg1" not found$' $as_user "$cli" list --group vg1
    run 0 'acme +1.00 GiB' $as_user "$cli" list
else
    echo "not tried as another user than root"
fi
exit $failed
