#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Is the binary interface of the public headers the one of baseline.abi?
#   baseline.sh PROBE.so BASELINE [write]
# A member appended to an operation table differs as well: abidiff does not tell it from
# a broken struct. So whoever raises the minor number writes the baseline anew, in the
# same commit: `tests/abi/baseline.sh build/tests/abi/libabi-probe.so
# tests/abi/baseline.abi write`. Prints TAP.
set -eu
probe=$1
baseline=$2

describe() {
	abidw --no-corpus-path --no-comp-dir-path --no-show-locs --exported-interfaces-only \
		"$probe"
}

if [ "${3:-}" = write ]; then
	describe >"$baseline"
	exit 0
fi

new=$(mktemp)
trap 'rm -f "$new"' EXIT
describe >"$new"

# The probe must reach the types at all, or nothing would ever differ.
for type in swm_plugin swm_option swm_host swm_open_args swm_list swm_pair swm_map swm_error swm_str \
	swm_header swm_message swm_delivery swm_settlement swm_queue_ops swm_store_ops swm_load \
	swm_commit swm_instance_row swm_event_row swm_template_row swm_outbox_row \
	swm_outbox_mark swm_instance_filter swm_page swm_set; do
	if ! grep -q "class-decl name='$type' size-in-bits='[0-9]" "$new"; then
		echo "struct $type is not in the probe's description" >&2
		missing=1
	fi
done
echo 1..2
if [ -z "${missing:-}" ]; then
	echo "ok 1 - the probe knows every struct of the headers"
else
	echo "not ok 1 - the probe knows every struct of the headers"
fi
if abidiff "$baseline" "$new" >&2; then
	echo "ok 2 - the headers' binary interface is that of the baseline"
else
	echo "not ok 2 - the headers' binary interface is that of the baseline"
fi
