# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the services have in common: where their files are, which port is free, which
# process is theirs, and the commands that each of them has. A file of a service defines
# the functions that README.md lists, sources this and ends with: service_main "$@"
set -eu -o pipefail

service_name=$(basename "$0")
service_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib/packages.sh
. "$service_tree/tests/lib/packages.sh"

# Below $SWM_SERVICES_DIR, or in a place of this checkout's own: not in the tree, which the
# user that a server runs as may not be able to enter.
services_top() {
	local tree
	tree=$(echo "$service_tree" | cksum | cut -d ' ' -f 1)
	echo "${SWM_SERVICES_DIR:-${TMPDIR:-/tmp}/swm-services.$(id -u).$tree}"
}

service_say() {
	echo "$service_name: $*" >&2
}

# service_open_dir: makes $service_dir, refuses one of somebody else's, and waits until no
# other command is at work on this service.
service_open_dir() {
	local top
	top=$(services_top)
	service_dir=$top/$service_name
	mkdir -p "$service_dir"
	if [ ! -O "$top" ] || [ -L "$top" ]; then
		service_say "$top belongs to somebody else: set SWM_SERVICES_DIR"
		return 1
	fi
	chmod 711 "$top"
	exec {service_lock}>"$service_dir/lock"
	flock -w 300 "$service_lock"
}

# service_keep NAME VALUE and service_kept NAME: what outlives the command.
service_keep() {
	echo "$2" >"$service_dir/$1.new"
	mv "$service_dir/$1.new" "$service_dir/$1"
}

service_kept() {
	cat "$service_dir/$1" 2>/dev/null || true
}

# port_answers PORT: somebody listens there on loopback.
port_answers() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# service_port NAME: the port that is kept under this name if it is free, else a new one.
# Below the range from which the kernel takes ports for outgoing connections.
service_port() {
	local port tries
	port=$(service_kept "$1")
	for tries in {1..100}; do
		if [ -n "$port" ] && ! port_answers "$port"; then
			service_keep "$1" "$port"
			return 0
		fi
		port=$((20000 + (RANDOM * 32768 + RANDOM + tries) % 10000))
	done
	service_say "no free port"
	return 1
}

# A pid alone says little, since numbers are used again: a process is known by the pid and
# the time at which it started (field 22 of its stat, in ticks since boot).
process_started() {
	local stat fields tasks
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -r -a fields <<<"${stat##*) }"
	# One that is dead and not waited for yet does not count, once the last of its threads
	# is dead, too: until then its ports are taken.
	if [ "${fields[0]}" = Z ]; then
		tasks=("/proc/$1/task"/*)
		[ "${#tasks[@]}" -gt 1 ] || return 1
	fi
	echo "${fields[19]}"
}

# service_spawn NAME COMMAND...: in a session of its own, with a log.
service_spawn() {
	local name=$1 pid started
	shift
	setsid "$@" >>"$service_dir/$name.log" 2>&1 </dev/null {service_lock}>&- &
	pid=$!
	started=$(process_started "$pid") || started=gone
	service_keep "$name.pid" "$pid $started"
	disown "$pid" 2>/dev/null || true
}

# service_adopt NAME PID: notes a process that a command of the service's own has started.
service_adopt() {
	service_keep "$1.pid" "$2 $(process_started "$2" || echo gone)"
}

# service_pid NAME: prints its pid, or fails when it does not run.
service_pid() {
	local pid started
	read -r pid started < <(service_kept "$1.pid") || return 1
	[ "$(process_started "$pid")" = "$started" ] && echo "$pid"
}

# service_tree_of PID: it, and all that it started, parents first.
service_tree_of() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do
		service_tree_of "$child"
	done
}

# service_signal NAME SIGNAL: to it and all that it started.
service_signal() {
	local pid one
	pid=$(service_pid "$1") || return 0
	for one in $(service_tree_of "$pid"); do
		kill -s "$2" "$one" 2>/dev/null || true
	done
}

# service_end NAME SIGNAL SECONDS: ends it, at the latest with SIGKILL.
service_end() {
	local pid waited=0
	if pid=$(service_pid "$1"); then
		service_signal "$1" CONT
		kill -s "$2" "$pid" 2>/dev/null || true
		while service_pid "$1" >/dev/null; do
			if [ "$waited" -ge $(($3 * 20)) ]; then
				service_say "$1 is still there after $3 s: killed"
				service_signal "$1" KILL
			fi
			sleep 0.05
			waited=$((waited + 1))
		done
	fi
	rm -f "$service_dir/$1.pid"
}

# service_await NAME SECONDS: until service_ready, or its process is gone.
service_await() {
	local end=$((SECONDS + $2))
	until service_ready >/dev/null 2>&1; do
		if ! service_pid "$1" >/dev/null; then
			service_say "ended before it was ready; see $service_dir/$1.log"
			tail -n 20 "$service_dir/$1.log" >&2
			return 1
		fi
		if [ "$SECONDS" -ge "$end" ]; then
			service_say "not ready after $2 s; see $service_dir/$1.log"
			return 1
		fi
		sleep 0.1
	done
	# Something else on the same port would have answered for it.
	service_pid "$1" >/dev/null
}

# as_user NAME COMMAND...: servers refuse to run as root; nobody else can change the user.
service_as() {
	local user=$1
	shift
	if [ "$(id -u)" -eq 0 ]; then
		set -- setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"
	fi
	"$@"
}

# service_certificates DIR: an authority, a certificate of its for 127.0.0.1 and localhost,
# and an authority that signed nothing here.
service_certificates() {
	local tls=$1 name
	mkdir -p "$tls"
	for name in authority stranger; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=swm test $name" \
			-keyout "$tls/$name.key" -out "$tls/$name.pem" 2>>"$service_dir/setup.log"
	done
	openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$tls/server.key" \
		-out "$tls/server.csr" 2>>"$service_dir/setup.log"
	openssl x509 -req -days 3650 -in "$tls/server.csr" -CA "$tls/authority.pem" \
		-CAkey "$tls/authority.key" -CAcreateserial -out "$tls/server.pem" \
		-extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1') \
		2>>"$service_dir/setup.log"
	chmod 600 "$tls"/*.key
}

service_start_once() {
	if service_running; then
		return 0
	fi
	service_start
	service_keep version "$(service_version)"
}

service_usage() {
	cat >&2 <<END
usage: tests/services/$service_name COMMAND

  install           the packages, through apt, and what is not in Debian
  start             unless it runs; returns when it is ready
  stop [SIGNAL]     ends it; what it stored stays
  restart [SIGNAL]  both, on the same port
  freeze, thaw      SIGSTOP and SIGCONT to all of its processes
  running           exit status 0 when it runs
  ours              exit status 0 unless the environment names somebody else's server
  wipe              stops it and removes what it stored
  version           the server's own version line
  config            the section of the configuration file to use
  env               settings for a shell:  eval "\$(tests/services/$service_name env)"
  $(service_extra_usage)
END
}

service_main() {
	local command=${1:-}
	shift || true
	if [ "$command" = install ]; then
		# shellcheck disable=SC2154 # the service's own file sets it
		packages_need "${service_packages[@]}"
		service_fetch
		return
	fi
	service_open_dir
	case $command in
	start) service_start_once ;;
	stop) service_stop "$@" ;;
	restart)
		service_stop "$@"
		service_start_once
		;;
	freeze) service_each_process service_signal STOP ;;
	thaw) service_each_process service_signal CONT ;;
	running) service_running ;;
	ours) ;;
	wipe)
		service_stop
		find "$service_dir" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
		;;
	version) service_kept version ;;
	config) service_config ;;
	env) service_env ;;
	*)
		if ! service_extra "$command" "$@"; then
			service_usage
			return 2
		fi
		;;
	esac
}

# service_theirs VARIABLE COMMAND: instead of service_main, for a server that this variable
# names and that is somebody else's: it is there, and is left as it is.
service_theirs() {
	case ${2:-} in
	install | start | stop | running) ;;
	version) echo "the server that $1 names" ;;
	config) echo "# $service_name: $1 is set and names the server" ;;
	env) ;;
	ours) return 1 ;;
	*)
		service_say "$1 names the server: it is not ours to ${2:-start}"
		return 1
		;;
	esac
}

# A service that is not all in Debian, has more than one process, or has commands of its
# own, redefines these.
service_fetch() {
	:
}

service_running() {
	service_pid server >/dev/null
}

service_each_process() {
	"$1" server "$2"
}

service_extra() {
	return 1
}

service_extra_usage() {
	:
}
