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
count=0
failed=0

try() {
	local what=$1 output
	shift
	count=$((count + 1))
	if output=$("$@" 2>&1); then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
		echo "$output" | sed 's/^/# /' >&2
		failed=1
	fi
}

for header in "$ports"/swm/*.h; do
	name=swm/${header##*/}
	try "$name as C11" "${cc[@]}" -std=c11 -pedantic-errors -Wall -Wextra -Wpadded -Werror \
		-Wno-pragma-once-outside-header -I"$ports" -fsyntax-only -x c "$header"
	try "$name as C++11" "${cxx[@]}" -std=c++11 -pedantic-errors -Wall -Wextra -Werror \
		-Wno-pragma-once-outside-header -I"$ports" -fsyntax-only -x c++ "$header"
done
echo "1..$count"
exit $failed
