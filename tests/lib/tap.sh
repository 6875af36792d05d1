# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Writing results as TAP (https://testanything.org), for tests that are scripts.
# A plan at the end: without it tests/run knows that the script was cut short.

tap_count=0
tap_failures=0

# tap_ok NAME
tap_ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

# tap_fail NAME; the reasons belong on stderr
tap_fail() {
	tap_count=$((tap_count + 1))
	tap_failures=$((tap_failures + 1))
	echo "not ok $tap_count - $1"
}

# tap_skip NAME CAPABILITY
tap_skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

# tap_run NAME COMMAND... passes when the command does; its output goes to stderr
tap_run() {
	local name=$1
	shift
	if "$@" >&2; then
		tap_ok "$name"
	else
		echo "# failed: $name: $*" >&2
		tap_fail "$name"
	fi
}

# tap_done prints the plan and returns non-zero when something failed
tap_done() {
	echo "1..$tap_count"
	[ "$tap_failures" -eq 0 ]
}
