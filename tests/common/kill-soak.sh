#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The kill soak (kill-soak.c) for twenty seconds, in the lab.
exec /build/quota-lvm/tests/common/kill-soak "${1:-20}"
