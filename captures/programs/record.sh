#!/bin/bash
# Records real programs talking over the loopback of a network namespace of its own: one small capture each.
#
#   captures/programs/record.sh DIRECTORY [GROUP...]
#
# Groups are the files in exchanges/; without one, all. Needs root, tcpdump, openssl and the programs that each
# group asks for. What is not there is skipped, and said so.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:?a directory}" && cd "$1" && pwd)
shift
work=$(mktemp -d)
chmod 755 "$work"
net=postern-record-$$
pids=()

cleanup() {
  for pid in "${pids[@]}" $(ip netns pids "$net"); do kill "$pid" 2>/dev/null; done
  ip netns del "$net" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$net"
ip -n "$net" link set lo up
inside() { ip netns exec "$net" "$@"; }
background() {
  # Replaced by the program, so that its number is the one to end.
  (exec ip netns exec "$net" "$@") >>"$work/log" 2>&1 &
  pids+=($!)
}
has() {
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "skipped: no $program"; return 1; }
  done
}
# waitfor PORT: until something listens there, and the look itself is over.
waitfor() {
  for _ in $(seq 100); do
    inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null && sleep 0.5 && return 0
    sleep 0.1
  done
  echo "nothing listens on $1"
  return 1
}
# record NAME FILTER COMMAND...: runs the command while the filter's packets are written to NAME.pcap.
record() {
  local name=$1 filter=$2
  shift 2
  (exec ip netns exec "$net" tcpdump -i lo -U --immediate-mode -s 0 -c "${packets:-400}" -w "$out/$name.pcap" "$filter") 2>"$work/tcpdump" &
  local dump=$!
  for _ in $(seq 100); do
    grep -q listening "$work/tcpdump" && break
    sleep 0.1
  done
  timeout 20 ip netns exec "$net" "$@" >>"$work/log" 2>&1 </dev/null
  sleep 1
  kill "$dump" 2>/dev/null
  wait "$dump" 2>/dev/null
  echo "recorded $name"
}

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=server.example.org -addext subjectAltName=DNS:server.example.org,DNS:alias.example.org \
  -addext basicConstraints=critical,CA:TRUE -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null

if [ $# -eq 0 ]; then set -- $(cd "$here/exchanges" && ls *.sh); fi
for group in "$@"; do
  . "$here/exchanges/${group%.sh}.sh"
done
[ -z "${RECORD_LOG:-}" ] || cp "$work/log" "$RECORD_LOG"
