#!/bin/bash
# SPDX-License-Identifier: MIT
#
# headers.sh PORTS CC... -- CXX: compiles each public header alone, as C11 and as C++11,
# with warnings as errors; in C also with -Wpadded, so that no layout hides a hole.
set -u
ports=$1
shift
cc=()
while [ "$1" != -- ]; do
	cc+=("$1")
	shift
done
shift
cxx=("$@")
# shellcheck source=tests/lib/tap.sh
. "${0%/*}/../lib/tap.sh"

for header in "$ports"/swm/*.h; do
	name=swm/${header##*/}
	tap_run "$name as C11" "${cc[@]}" -std=c11 -pedantic-errors -Wall -Wextra -Wpadded -Werror \
		-Wno-pragma-once-outside-header -I"$ports" -fsyntax-only -x c "$header"
	tap_run "$name as C++11" "${cxx[@]}" -std=c++11 -pedantic-errors -Wall -Wextra -Werror \
		-Wno-pragma-once-outside-header -I"$ports" -fsyntax-only -x c++ "$header"
done
tap_done
