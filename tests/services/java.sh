# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Services that are Java programs: their jars by Maven, once per user, and the machine
# they run on. Sourced after lib.sh by a service that has java/NAME.xml, what Maven is to
# fetch, and java/NAME.sha256, what that must be.

# Debian's own, whichever "java" means here.
java_machine() {
	echo /usr/lib/jvm/java-17-openjdk-*/bin/java
}

# shellcheck disable=SC2154 # lib.sh sets service_name and service_tree
java_list=$service_tree/tests/services/java/$service_name

# java_top: where the jars of this service are. Another list of jars is another place.
java_top() {
	local list
	list=$(sha256sum <"$java_list.sha256" | cut -c 1-12)
	echo "${XDG_CACHE_HOME:-$HOME/.cache}/swm-tests/$service_name-$list"
}

# Nothing is missing, cut short or other than it was when the list was written.
java_complete() {
	[ -d "$1" ] && (cd "$1" && sha256sum --quiet --strict -c "$java_list.sha256") \
		>/dev/null 2>&1
}

# java_fetch: one call of Maven; what it says goes to stderr if it fails.
java_fetch() {
	local said
	rm -rf "$1"
	if ! said=$(mvn -B -ntp -q -U -C -f "$java_list.xml" \
		dependency:copy-dependencies -DoutputDirectory="$1" -DincludeScope=runtime 2>&1); then
		echo "$said" >&2
		return 1
	fi
}

# java_jars: makes the jars be there. A download that broke is tried again.
java_jars() {
	local top lock try
	top=$(java_top)
	mkdir -p "$(dirname "$top")"
	exec {lock}>"$top.lock"
	flock -w 600 "$lock"
	for try in 1 2 3; do
		if java_complete "$top"; then
			exec {lock}>&-
			return 0
		fi
		service_say "gets its jars through Maven ($try)"
		java_fetch "$top" || sleep "$try"
	done
	exec {lock}>&-
	java_complete "$top" && return 0
	service_say "the jars are not those of $java_list.sha256"
	return 1
}

# java_run ARGUMENT...: starts the server. Small, since several of them share a machine.
java_run() {
	service_spawn server "$(java_machine)" -Xms64m -Xmx384m -XX:+UseSerialGC \
		-XX:TieredStopAtLevel=1 -Xshare:auto -Djava.awt.headless=true "$@"
}
