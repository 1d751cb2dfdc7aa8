# SPDX-License-Identifier: LGPL-2.1-or-later
# For tests of what our patches make of Debian's virt-manager, virt-install and
# virt-clone, sourced after lab.d/lib.sh.

# patch_virt_manager: from now on, until the test ends, those programs have them.
patch_virt_manager() {
    local patch
    requires_command patch
    cp -r /usr/share/virt-manager "$TEST_TMP/virt-manager"
    for patch in "$(dirname "$0")"/../../clients/virt-manager/*.patch; do
        patch -d "$TEST_TMP/virt-manager" -p1 -s -F0 <"$patch"
    done
    mount --bind "$TEST_TMP/virt-manager" /usr/share/virt-manager
    cleanup_fn umount -l /usr/share/virt-manager
}
