# What prosody.sh and ejabberd.sh share; sourced, not run.
# All that a server writes lies below $STATE. Nothing outside is changed, but for packages installed.

STATE="${XMPP_TEST_STATE:-${TMPDIR:-/tmp}/xmpp-test-servers-$(id -u)}"
NET="${XMPP_TEST_NET:-127.0.0}"
USERS="${XMPP_TEST_USERS:-alice bob carol dave mallory admin}"
PASSWORD="${XMPP_TEST_PASSWORD:-secret}"
ROSTER="${XMPP_TEST_ROSTER:-}"
INSTANCES="a b e f"

# The code that says: this machine has not what it needs; a test may skip.
MISSING=3

case $NET in
127.*.*) ;;
*)
	echo "XMPP_TEST_NET must be the first three octets of a loopback address" >&2
	exit 2
	;;
esac

die() {
	echo "error: $*" >&2
	exit 1
}

software() {
	case $1 in
	a | b) echo prosody ;;
	e | f) echo ejabberd ;;
	esac
}
domains() { echo "$1.test ${1}2.test"; }
address() {
	case $1 in
	a) echo "$NET.11" ;;
	b) echo "$NET.12" ;;
	e) echo "$NET.13" ;;
	f) echo "$NET.14" ;;
	esac
}

# need NAME PACKAGE CHECK…: runs CHECK. If it fails, installs the package, or leaves with code 3.
need() {
	local name=$1 package=$2
	shift 2
	"$@" >/dev/null 2>&1 && return
	if [ "${INSTALL:-}" = 1 ]; then
		install_package "$package"
		"$@" >/dev/null 2>&1 || die "$name is missing, though $package is installed"
	else
		echo "missing: $name (package $package; '$0 install' as root installs it)" >&2
		exit $MISSING
	fi
}

install_package() {
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "missing: package $1, which only root can install, with apt-get" >&2
		exit $MISSING
	fi
	echo "installing $1"
	# A package must not start its server on the ports of everybody.
	local policy=/usr/sbin/policy-rc.d ours='' failed=''
	if [ ! -e $policy ]; then
		ours=1
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y -q "$1" >"$STATE/apt.log" 2>&1 ||
		{ apt-get update -q && apt-get install -y -q "$1"; } >>"$STATE/apt.log" 2>&1 || failed=1
	[ -z "$ours" ] || rm -f $policy
	if [ -n "$failed" ]; then
		tail -20 "$STATE/apt.log" >&2
		die "$1 could not be installed"
	fi
}

# One authority for all instances, so that servers and clients trust what it signs: $STATE/ca/ca.pem.
make_authority() {
	local dir=$STATE/ca
	[ ! -s "$dir/ca.pem" ] || return 0
	mkdir -p "$dir"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=XMPP tests" \
		-addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
		-keyout "$dir/ca.key" -out "$dir/ca.new" 2>/dev/null || die "openssl"
	mv "$dir/ca.new" "$dir/ca.pem"
}

# make_certificate DOMAIN DIR: DIR/DOMAIN.crt and .key, and both in .pem.
make_certificate() {
	local of=$2/$1
	[ ! -s "$of.pem" ] || return 0
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
		-keyout "$of.key" -out "$of.csr" 2>/dev/null || die "openssl"
	printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$1" >"$of.ext"
	openssl x509 -req -in "$of.csr" -CA "$STATE/ca/ca.pem" -CAkey "$STATE/ca/ca.key" -days 3650 \
		-set_serial "0x$(openssl rand -hex 8)" -extfile "$of.ext" -out "$of.crt" 2>/dev/null || die "openssl"
	cat "$of.crt" "$of.key" >"$of.pem"
	chmod 600 "$of.key" "$of.pem"
	rm "$of.csr" "$of.ext"
}

# "ADDRESS DOMAIN", a line for each domain there is.
hosts() {
	local instance domain
	for instance in $INSTANCES; do
		for domain in $(domains "$instance"); do
			echo "$(address "$instance") $domain"
		done
	done
}

# contacts DOMAIN: "USER CONTACT", a line for each side of a pair in $ROSTER that lives on the domain.
contacts() {
	local pair one='' other
	for pair in ${ROSTER//,/ + }; do
		case $pair in
		+) one='' ;;
		*)
			if [ -z "$one" ]; then
				one=$pair
			else
				other=$pair
				[ "${one#*@}" != "$1" ] || echo "${one%@*} $other"
				[ "${other#*@}" != "$1" ] || echo "${other%@*} $one"
			fi
			;;
		esac
	done | sort -u
}

# Whether the process of this pid file lives, and is the server of that folder, not another with its number.
running() {
	[ -s "$1" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$1")/cmdline" | grep -qF "${1%/*}"
}

# end SIGNAL PIDFILE: ends the server and waits until it is gone; after ten seconds without mercy.
end() {
	local pid n=200
	if running "$2"; then
		pid=$(cat "$2")
		kill "-$1" "$pid" 2>/dev/null
		while kill -0 "$pid" 2>/dev/null && [ $n -gt 0 ]; do
			sleep 0.05
			n=$((n - 1))
		done
		kill -KILL "$pid" 2>/dev/null
	fi
	rm -f "$2"
}

# wait_for INSTANCE SECONDS COMMAND…: until the command succeeds, as long as the server lives.
wait_for() {
	local dir=$STATE/$1 n=$(($2 * 20)) birth=40
	shift 2
	until "$@" 2>/dev/null; do
		# A moment passes until the process has the name of its server.
		running "$dir/server.pid" || birth=$((birth - 1))
		n=$((n - 1))
		if [ $n -le 0 ] || [ $birth -le 0 ]; then
			tail -20 "$dir/output.log" >&2
			end KILL "$dir/server.pid"
			die "${dir##*/} did not start"
		fi
		sleep 0.05
	done
}

listens() {
	local address=$1 port
	shift
	for port; do
		(exec 3<>"/dev/tcp/$address/$port") || return 1
	done
}

start() {
	local instance
	mkdir -p "$STATE"
	exec 9>"$STATE/lock"
	flock -w 300 9 || die "another start takes too long"
	make_authority
	for instance; do
		if running "$STATE/$instance/server.pid"; then
			continue
		fi
		# A server that finds its port taken may run on without it, and a test would talk to another's.
		! listens "$(address "$instance")" 5222 2>/dev/null || die "$(address "$instance") is taken: set XMPP_TEST_NET"
		mkdir -p "$STATE/$instance/certs"
		start_one "$instance"
	done
	for instance; do
		wait_one "$instance"
		echo "$instance $(address "$instance") $(domains "$instance")"
	done
	exec 9>&-
}

# main SOFTWARE COMMAND INSTANCE…
main() {
	local software=$1 command=${2:-} instance
	shift
	[ $# -eq 0 ] || shift
	if [ $# -eq 0 ]; then
		[ "$software" = prosody ] && set -- a || set -- e
	fi
	for instance; do
		[ "$(software "$instance")" = "$software" ] || die "no instance of $software: $instance"
	done
	INSTALL=${XMPP_TEST_INSTALL:-}
	mkdir -p "$STATE"
	case $command in
	install)
		INSTALL=1
		needs
		;;
	start)
		needs
		start "$@"
		;;
	restart)
		needs
		for instance; do end TERM "$STATE/$instance/server.pid"; done
		start "$@"
		;;
	stop) for instance; do end TERM "$STATE/$instance/server.pid"; done ;;
	kill) for instance; do end KILL "$STATE/$instance/server.pid"; done ;;
	clean)
		for instance; do
			end KILL "$STATE/$instance/server.pid"
			rm -rf "${STATE:?}/$instance"
		done
		;;
	status)
		for instance; do
			if running "$STATE/$instance/server.pid"; then
				echo "$instance runs, pid $(cat "$STATE/$instance/server.pid")"
			else
				echo "$instance does not run"
			fi
		done
		;;
	*)
		echo "usage: ${0##*/} install|start|stop|kill|restart|clean|status [instance…]" >&2
		exit 2
		;;
	esac
}
