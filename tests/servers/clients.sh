#!/usr/bin/env bash
# clients.sh install|need [PROGRAM…]: clients that know nothing of ours, and the terminal in which tests drive them.
# See README.md.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PROGRAMS="tmux profanity mcabber slixmpp"

need_program() {
	case $1 in
	tmux | profanity | mcabber) need "$1" "$1" command -v "$1" ;;
	# Debian's, for Debian's Python: another one on this machine does not find it.
	slixmpp) need slixmpp python3-slixmpp /usr/bin/python3 -c 'import slixmpp' ;;
	*) die "no such program: $1" ;;
	esac
}

command=${1:-}
[ $# -eq 0 ] || shift
INSTALL=''
case $command in
install)
	INSTALL=1
	mkdir -p "$STATE"
	;;
need) ;;
*)
	echo "usage: ${0##*/} install|need [program…]" >&2
	exit 2
	;;
esac
for program in ${*:-$PROGRAMS}; do
	need_program "$program"
done
