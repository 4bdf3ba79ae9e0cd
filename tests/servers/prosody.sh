#!/usr/bin/env bash
# prosody.sh install|start|stop|kill|restart|clean|status [a] [b]: Prosody for tests. See README.md.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

needs() {
	need openssl openssl command -v openssl
	need prosody prosody command -v prosody
	# It reads a hosts file of ours, so that no name is asked for outside.
	need "unbound for Lua" lua-unbound compgen -G "/usr/lib/*/lua/5.?/lunbound.so"
}

# JIDs of the roster are plain; a name with a quote or a backslash is nobody's in a test.
seed() {
	local domain=$1 data=$2/${1//./%2e} user other
	mkdir -p "$data/accounts" "$data/roster"
	for user in $USERS; do
		[ -e "$data/accounts/$user.dat" ] ||
			printf 'return { ["password"] = "%s"; };\n' "$PASSWORD" >"$data/accounts/$user.dat"
	done
	for user in $(contacts "$domain" | cut -d ' ' -f 1 | sort -u); do
		[ ! -e "$data/roster/$user.dat" ] || continue
		{
			echo 'return {'
			echo '  [false] = { ["version"] = 1; ["pending"] = {}; };'
			contacts "$domain" | while read -r one other; do
				[ "$one" != "$user" ] ||
					printf '  ["%s"] = { ["subscription"] = "both"; ["groups"] = {}; };\n' "$other"
			done
			echo '};'
		} >"$data/roster/$user.dat"
	done
}

configure() {
	local instance=$1 dir=$STATE/$1 domain
	hosts >"$dir/hosts"
	for domain in $(domains "$instance"); do
		make_certificate "$domain" "$dir/certs"
		seed "$domain" "$dir/data"
	done
	cat >"$dir/prosody.cfg.lua" <<CONFIG
run_as_root = true
pidfile = "$dir/prosody.pid"
data_path = "$dir/data"
certificates = "$dir/certs"
plugin_paths = { ${XMPP_TEST_PROSODY_PLUGINS:+\"$XMPP_TEST_PROSODY_PLUGINS\"} }
admin_socket = "$dir/prosody.sock"
log = { ${XMPP_TEST_LOGLEVEL:-info} = "$dir/server.log" }

interfaces = { "$(address "$instance")" }
local_interfaces = { "$(address "$instance")" }
c2s_ports = { 5222 }
c2s_direct_tls_ports = { 5223 }
s2s_ports = { 5269 }
s2s_direct_tls_ports = { }
-- Names are in our hosts file; whatever is not goes to a closed port of this machine.
unbound = { resolvconf = false; hoststxt = "$dir/hosts"; forward = { "127.0.0.1@9" } }

admins = { "admin@$instance.test" }
authentication = "internal_plain"
storage = "internal"
allow_registration = true
c2s_require_encryption = ${XMPP_TEST_REQUIRE_TLS:-false}
allow_unencrypted_plain_auth = true
s2s_require_encryption = true
s2s_secure_auth = true
ssl = { cafile = "$STATE/ca/ca.pem" }

modules_enabled = {
  "disco"; "roster"; "saslauth"; "tls"; "posix"; "s2s_bidi"; "blocklist"; "carbons"; "csi"; "csi_simple"; "mam"; "pep";
  "ping"; "private"; "register"; "smacks"; "time"; "vcard4"; "vcard_legacy"; "version"; "admin_shell";
  $([ -z "${XMPP_TEST_LIMITS:-}" ] || echo '"limits";') ${XMPP_TEST_PROSODY_MODULES:-}
}
modules_disabled = { ${XMPP_TEST_PROSODY_DISABLED:-} }
-- What Debian ships; in force with the module.
limits = { c2s = { rate = "10kb/s" }; s2sin = { rate = "30kb/s" } }
archive_expires_after = "1w"
default_archive_policy = true
smacks_hibernation_time = 300
pep_faults_file = "$dir/pep-faults"

$(printf 'VirtualHost "%s"\n' $(domains "$instance"))
CONFIG
}

start_one() {
	local dir=$STATE/$1
	configure "$1"
	: >"$dir/server.log"
	(
		exec 9>&-
		cd "$dir" || exit
		exec setsid prosody --config "$dir/prosody.cfg.lua" -F
	) >"$dir/output.log" 2>&1 </dev/null &
	echo $! >"$dir/server.pid"
}

wait_one() {
	wait_for "$1" 20 listens "$(address "$1")" 5222 5223 5269
}

main prosody "$@"
