#!/usr/bin/env bash
# ejabberd.sh install|start|stop|kill|restart|clean|status [e] [f]: ejabberd for tests. See README.md.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

needs() {
	need openssl openssl command -v openssl
	need ejabberd ejabberd compgen -G "/usr/lib/*/ejabberd-*/ebin"
	need erl erlang-base command -v erl
}

# ejabberd asks for SRV records and has the C library look up their targets. So a few lines in its own virtual machine
# answer with the address itself as target, and no question leaves the machine.
name_service() {
	local dir=$1 address=${2//./,} ip name
	{
		echo '{lookup, [file]}.'
		echo '{resolv_conf, ""}.'
		echo '{hosts_file, ""}.'
		echo "{nameserver, {$address}, 5053}."
		echo '{host, {127,0,0,1}, ["localhost"]}.'
		hosts | while read -r ip name; do echo "{host, {${ip//./,}}, [\"$name\"]}."; done
	} >"$dir/inetrc"
	cat >"$dir/names.erl" <<ERLANG
Targets = #{
$(hosts | while read -r ip name; do echo "  \"_xmpp-server._tcp.$name\" => \"$ip\","; done)
  "" => ""},
spawn(fun() ->
  {ok, Socket} = gen_udp:open(5053, [binary, {active, false}, {ip, {$address}}]),
  Loop = fun Again() ->
    {ok, {From, Port, Packet}} = gen_udp:recv(Socket, 0),
    try
      {ok, Query} = inet_dns:decode(Packet),
      [Question] = inet_dns:msg(Query, qdlist),
      Name = string:lowercase(inet_dns:dns_query(Question, domain)),
      {Code, Answers} = case {inet_dns:dns_query(Question, type), maps:find(Name, Targets)} of
        {srv, {ok, Target}} ->
          {0, [inet_dns:make_rr([{domain, Name}, {class, in}, {type, srv}, {ttl, 60}, {data, {0, 0, 5269, Target}}])]};
        {_, {ok, _}} -> {0, []};
        _ -> {3, []}
      end,
      Header = inet_dns:make_header(inet_dns:msg(Query, header), [{qr, true}, {aa, true}, {ra, true}, {rcode, Code}]),
      Reply = inet_dns:make_msg([{header, Header}, {qdlist, [Question]}, {anlist, Answers}, {nslist, []}, {arlist, []}]),
      gen_udp:send(Socket, From, Port, inet_dns:encode(Reply))
    catch _:_ -> ok end,
    Again()
  end,
  Loop()
end).
ERLANG
}

# What is done once the server is up: accounts, rosters, and the mark that it is done.
seeding() {
	local instance=$1 dir=$2 domain user other
	for domain in $(domains "$instance"); do
		for user in $USERS; do
			printf '_ = ejabberd_auth:try_register(<<"%s">>, <<"%s">>, <<"%s">>),\n' "$user" "$domain" "$PASSWORD"
		done
		[ ! -e "$dir/seeded" ] || continue
		contacts "$domain" | while read -r user other; do
			printf 'ok = mod_admin_extra:add_rosteritem(<<"%s">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"%s">>, %s, <<"both">>),\n' \
				"$user" "$domain" "${other%@*}" "${other#*@}" "${other%@*}" "$NO_GROUP"
		done
	done
	# Written down, should the server be killed the next moment.
	printf 'ok = mnesia:sync_log(), ok = file:write_file("%s/seeded", <<>>), ok = file:write_file("%s/ready", <<>>).\n' "$dir" "$dir"
}

modules() {
	local line skip=
	while IFS= read -r line; do
		case $line in
		"  mod_"*)
			line=${line#  }
			skip=
			case " ${XMPP_TEST_EJABBERD_WITHOUT:-} " in *" ${line%%:*} "*) skip=1 ;; esac
			line="  $line"
			;;
		esac
		[ -n "$skip" ] || printf '%s\n' "$line"
	done <<'MODULES'
  mod_adhoc: {}
  mod_admin_extra: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_disco: {}
  mod_http_api: {}
  mod_last: {}
  mod_mam:
    default: always
  mod_offline:
    access_max_user_messages: max_user_offline_messages
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_pubsub:
    access_createnode: all
    plugins: [flat, pep]
  mod_register:
    ip_access: all
    access: all
    welcome_message: {}
  mod_roster:
    versioning: true
  mod_stream_mgmt:
    resend_on_timeout: if_offline
  mod_time: {}
  mod_vcard: {}
  mod_version: {}
MODULES
}

configure() {
	local instance=$1 dir=$STATE/$1 address domain shaper=none s2s_shaper=none
	address=$(address "$instance")
	[ -z "${XMPP_TEST_LIMITS:-}" ] || { shaper=normal s2s_shaper=fast; }
	mkdir -p "$dir/db"
	for domain in $(domains "$instance"); do make_certificate "$domain" "$dir/certs"; done
	name_service "$dir" "$address"
	seeding "$instance" "$dir" >"$dir/seed.erl"
	cat >"$dir/ejabberd.yml" <<CONFIG
hosts:
$(printf '  - %s\n' $(domains "$instance"))
loglevel: ${XMPP_TEST_LOGLEVEL:-info}
certfiles:
  - "$dir/certs/*.pem"
ca_file: "$STATE/ca/ca.pem"
acme: {auto: false}
auth_method: internal
auth_password_format: plain
# 23.01 binds these to tls-unique only; clients that have tls-exporter could not log in.
disable_sasl_mechanisms: [SCRAM-SHA-1-PLUS, SCRAM-SHA-256-PLUS, SCRAM-SHA-512-PLUS]
s2s_use_starttls: required

listen:
  - port: 5222
    ip: "$address"
    module: ejabberd_c2s
    shaper: c2s_shaper
    max_stanza_size: 262144
    starttls: true
    starttls_required: ${XMPP_TEST_REQUIRE_TLS:-false}
    access: all
  - port: 5223
    ip: "$address"
    module: ejabberd_c2s
    shaper: c2s_shaper
    max_stanza_size: 262144
    tls: true
    access: all
  - port: 5269
    ip: "$address"
    module: ejabberd_s2s_in
    shaper: s2s_shaper
    max_stanza_size: 524288
  - port: 5280
    ip: "$address"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api

acl:
  local:
    user_regexp: ""
access_rules:
  local:
    allow: local
api_permissions:
  "tests on loopback":
    who: all
    what: "*"
# What Debian ships; in force with XMPP_TEST_LIMITS.
shaper:
  normal:
    rate: 3000
    burst_size: 20000
  fast: 200000
shaper_rules:
  c2s_shaper: $shaper
  s2s_shaper: $s2s_shaper
  max_user_sessions: 50
  max_user_offline_messages: 500

modules:
$(modules)
CONFIG
}

start_one() {
	local dir=$STATE/$1 ebin
	# Groups of a roster item: a text before 23.04, a list since.
	ebin=$(compgen -G "/usr/lib/*/ejabberd-*/ebin" | head -1)
	case $ebin in
	*/ejabberd-2[0-2].* | */ejabberd-23.01*) NO_GROUP='<<"">>' ;;
	*) NO_GROUP='[]' ;;
	esac
	configure "$1"
	rm -f "$dir/ready"
	: >"$dir/server.log"
	# Not by ejabberdctl: no epmd, no distribution, no other user.
	(
		exec 9>&-
		cd "$dir" || exit
		export EJABBERD_CONFIG_PATH="$dir/ejabberd.yml" EJABBERD_LOG_PATH="$dir/server.log" HOME="$dir"
		export ERL_INETRC="$dir/inetrc" ERL_CRASH_DUMP="$dir/crash.dump" ERL_LIBS="${ebin%/*/*}"
		exec setsid erl -noinput +K true +S 1 +sbwt none -mnesia dir "\"$dir/db\"" \
			-eval "ok = file:eval(\"$dir/names.erl\")." -s ejabberd -eval "ok = file:eval(\"$dir/seed.erl\")."
	) >"$dir/output.log" 2>&1 </dev/null &
	echo $! >"$dir/server.pid"
}

wait_one() {
	wait_for "$1" 60 listens "$(address "$1")" 5222 5223 5269 5280
	wait_for "$1" 30 test -e "$STATE/$1/ready"
}

main ejabberd "$@"
