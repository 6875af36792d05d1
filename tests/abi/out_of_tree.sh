#!/bin/bash
# SPDX-License-Identifier: MIT
#
# out_of_tree.sh SOURCE BUILD CC CXX: installs into an empty directory and goes on as an
# outsider would: with the installed headers, pkg-config and the installed swm alone, builds
# the example plugins and has swm describe them.
set -u
source=$1
build=$2
cc=$3
cxx=$4
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
umask 022
# shellcheck source=tests/lib/tap.sh
. "$source/tests/lib/tap.sh"

# prints COMMAND... -- PATTERN...: every pattern is in what the command prints
prints() {
	local command=() output
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	output=$("${command[@]}" 2>&1)
	local status=$?
	echo "$output"
	for pattern in "$@"; do
		grep -qe "$pattern" <<<"$output" || return 1
	done
	return "$status"
}

# refused COMMAND...: ends with exit code 1
refused() {
	"$@"
	[ $? -eq 1 ]
}

tap_run "install" env DESTDIR="$root/install" meson install -C "$build" --no-rebuild --quiet
swm=$(find "$root/install" -path '*/bin/swm' -type f)
pc=$(find "$root/install" -name swm.pc)
tap_run "swm is installed" [ -x "$swm" ]
tap_run "the pkg-config file is installed" [ -f "$pc" ]

export PKG_CONFIG_PATH=${pc%/*}
export PKG_CONFIG_SYSROOT_DIR=$root/install
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
read -ra cflags < <(pkg-config --cflags swm)
tap_run "pkg-config knows the headers" prints echo "${cflags[@]}" -- "-I$root/install"
installed=$root/install$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --variable=plugindir swm)
tap_run "our plugins are where pkg-config says" prints ls "$installed" -- store-sqlite.so

mkdir "$root/outside"
cp "$source"/docs/examples/plugin/memory_queue.* "$root/outside"
cd "$root/outside" || exit 1
flags=(-O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden
	-z defs -z nodelete -z relro -z now "${cflags[@]}")
tap_run "the C example compiles" "$cc" -std=c11 "${flags[@]}" memory_queue.c \
	-o queue-memory.so -pthread
tap_run "the C++ example compiles" "$cxx" -std=c++11 "${flags[@]}" memory_queue.cc \
	-o queue-memory-cpp.so -pthread

export SWM_PLUGIN_PATH=$root/outside:$installed
unset SWM_CONFIG
tap_run "the installed swm lists all" prints "$swm" plugin list -o json -- \
	'"name":"memory",.*"state":"ok"' '"name":"memory-cpp",.*"state":"ok"' \
	'"kind":"store","name":"sqlite",.*"state":"ok"'
cp queue-memory.so queue-open.so
chmod 0666 queue-open.so
tap_run "a plugin that others can write is listed with its mend" prints "$swm" plugin list -- \
	"others can write it (mode 0666): chmod go-w $PWD/queue-open.so"
rm queue-open.so
tap_run "the installed swm describes the C example" prints "$swm" plugin describe memory -- \
	'queue plugin memory 1.0' 'capabilities: attempts' 'max_message .*size .*1MiB'
tap_run "the installed swm describes the C++ example" prints \
	"$swm" plugin describe memory-cpp -- 'queue plugin memory-cpp 1.0' max_messages

cat >swm.json <<'END'
{ "queues": { "main": { "plugin": "memory", "max_message": "64KiB" },
              "other": { "plugin": "memory-cpp" } },
  "store": { "path": "store.db" } }
END
tap_run "a configuration with both is good" prints "$swm" check -c swm.json -- 'max_message .*64KiB'
# The memory of one process is no use to another: these promises it cannot keep. (--only
# takes prefixes, so receive.published is left out with receive.published-process.)
between_processes='^queue\.(publish\.durable|kill\.gives-back|receive\.published(-process)?|crowd\.processes)$'
conform=$(find "$root/install" -path '*/bin/swm-conform' -type f)
mapfile -t tags < <("$conform" --list | cut -f 1 | grep '^queue\.' |
	grep -vE "$between_processes" |
	sed -E '/^queue\.(publish|kill|receive|crowd)\./!s/^(queue\.[^.]*\.).*/\1/' | sort -u)
echo '{}' >options.json
for name in memory memory-cpp; do
	tap_run "the conformance kit is content with $name" "$conform" "${tags[@]/#/--only=}" \
		"$PWD/queue-$name.so" options.json
done

tap_run "the store is made" "$swm" migrate -c swm.json
tap_run "the C example opens and prepares" "$swm" check --connect -c swm.json
sed -i 's/max_message"/max_mesage"/' swm.json
tap_run "a wrong option is refused with its line" prints refused "$swm" check -c swm.json -- \
	"swm.json:1: error: /queues/main/max_mesage: .*did you mean 'max_message'"
tap_done
