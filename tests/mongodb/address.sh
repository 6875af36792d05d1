# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced: SWM_TEST_MONGODB_URI as the plugin's options, which keep a password apart.

# mongodb_address FILE: sets mongodb_uri, and mongodb_password to the rest of the options
# with the password in FILE, as an operator would give it.
mongodb_address() {
	local scheme rest user
	# shellcheck disable=SC2034 # for whoever sources this
	mongodb_password=
	mongodb_uri=$SWM_TEST_MONGODB_URI
	if [[ $mongodb_uri =~ ^([a-z+]+://)([^:@/]+):([^@/]*)@(.*)$ ]]; then
		scheme=${BASH_REMATCH[1]} user=${BASH_REMATCH[2]} rest=${BASH_REMATCH[4]}
		echo "${BASH_REMATCH[3]}" >"$1"
		chmod 600 "$1"
		mongodb_uri=$scheme$user@$rest
		# shellcheck disable=SC2034
		mongodb_password=", \"password\": {\"\$file\": \"$1\"}"
	fi
}
