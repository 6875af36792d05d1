#!/bin/bash
# SPDX-License-Identifier: MIT
#
# symbols.sh DIRECTORY: every plugin below it shows one symbol, wants none of ours, stays
# mapped, and is bound and read-only from the start.
set -u
directory=$1
# shellcheck source=tests/lib/tap.sh
. "${0%/*}/../lib/tap.sh"

shows_only_the_entry() {
	local shown
	shown=$(nm -D --defined-only "$1" | awk '{print $3}')
	echo "# it shows: $shown"
	[ "$shown" = swm_plugin_entry ]
}

wants_nothing_of_ours() {
	! nm -D --undefined-only "$1" | grep ' swm_'
}

# has FILE OPTION PATTERN
has() {
	readelf --wide "$2" "$1" | grep -qE "$3"
}

while read -r file; do
	name=${file##*/}
	tap_run "$name shows swm_plugin_entry alone" shows_only_the_entry "$file"
	tap_run "$name wants no symbol that begins with swm_" wants_nothing_of_ours "$file"
	tap_run "$name is never unmapped" has "$file" --dynamic NODELETE
	tap_run "$name is bound at load" has "$file" --dynamic 'BIND_NOW|FLAGS.*NOW'
	tap_run "$name has read-only relocations" has "$file" --program-headers GNU_RELRO
done < <(find "$directory" -name '*.so' -type f | sort)
tap_run "there are plugins below $directory" [ "$tap_count" -gt 0 ]
tap_done
