# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Getting Debian packages: says what is missing, prints the apt line, runs it as
# root or through sudo. Sourced by tests/run and docs/quickstart, so that both do
# the same. With SWM_NO_INSTALL=1 it only says what is missing.

# What `meson setup` and `ninja` need.
# shellcheck disable=SC2034 # read by those who source this
packages_build=(gcc libc6-dev pkg-config meson ninja-build libjansson-dev libmd-dev libsqlite3-dev)

# What each service of tests/services needs, by its name.
# shellcheck disable=SC2034
packages_postgresql=(postgresql-15 postgresql-client-15 openssl procps util-linux)
# shellcheck disable=SC2034
packages_rabbitmq=(rabbitmq-server erlang-base openssl procps util-linux)
# shellcheck disable=SC2034
packages_kafka=(maven openjdk-17-jre-headless openssl procps python3-confluent-kafka util-linux)
# shellcheck disable=SC2034
packages_sqs=(curl jq maven openjdk-17-jre-headless procps util-linux)
# shellcheck disable=SC2034
packages_mongodb=(ecj maven openjdk-17-jre-headless procps python3-pymongo util-linux)
# shellcheck disable=SC2034
packages_moto=(openssl procps python3-boto3 python3-cryptography python3-flask python3-flask-cors
	python3-responses python3-venv python3-xmltodict util-linux)

# What the tests need beyond that, the client libraries of all adapters included.
# shellcheck disable=SC2034
packages_tests=(abigail-tools binutils clang clang-format clang-tidy cppcheck g++ gcovr git jq
	libclang-rt-14-dev libcmocka-dev libcurl4-openssl-dev libmongoc-dev libpq-dev
	librabbitmq-dev librdkafka-dev patch procps python3 python3-jsonschema python3-mockupdb
	python3-pika python3-psycopg2 python3-pymongo shellcheck sqlite3 strace util-linux
	"${packages_postgresql[@]}" "${packages_rabbitmq[@]}" "${packages_kafka[@]}"
	"${packages_sqs[@]}" "${packages_mongodb[@]}" "${packages_moto[@]}")

# What the full run needs beyond that.
# shellcheck disable=SC2034
packages_full=(debootstrap)

# packages_missing NAME... prints the names of those that are not installed.
packages_missing() {
	local name
	for name in "$@"; do
		# shellcheck disable=SC2016 # dpkg-query's own variable
		if ! dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed'; then
			echo "$name"
		fi
	done
}

# packages_need NAME... makes them be there, or returns non-zero and has said why.
packages_need() {
	local missing=() as_root=()
	if ! command -v dpkg-query >/dev/null; then
		echo "This needs Debian 12 (bookworm) or a system with its packages: $*" >&2
		return 1
	fi
	mapfile -t missing < <(packages_missing "$@")
	if [ "${#missing[@]}" -eq 0 ]; then
		return 0
	fi
	if [ "$(id -u)" -ne 0 ]; then
		as_root=(sudo)
	fi
	echo "These packages are missing; this line installs them:" >&2
	echo "  ${as_root[*]:+sudo }apt-get install -y --no-install-recommends ${missing[*]}" >&2
	if [ "${SWM_NO_INSTALL:-}" = 1 ]; then
		echo "SWM_NO_INSTALL=1: nothing was installed." >&2
		return 1
	fi
	if [ "${#as_root[@]}" -ne 0 ] && ! command -v sudo >/dev/null; then
		echo "There is no sudo here: run that line as root, then this again." >&2
		return 1
	fi
	packages_install
}

# packages_install: the apt run of packages_need. Servers are started by their tests and
# never by their packages: Debian asks the file policy-rc.d, which is ours meanwhile unless
# there is one.
packages_install() (
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap '"${as_root[@]}" rm -f "$policy"' EXIT
		trap 'exit 1' INT TERM
		printf '#!/bin/sh\nexit 101\n' |
			"${as_root[@]}" install -m 755 /dev/stdin "$policy" || exit 1
	fi
	apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get
		-o DPkg::Lock::Timeout=300)
	"${apt[@]}" -qq update >&2 &&
		"${apt[@]}" install -y -qq --no-install-recommends "${missing[@]}" >&2 </dev/null
)
