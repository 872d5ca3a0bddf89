#!/bin/sh
# A firewall on a kernel with nftables' own queue statement: packets come up by it, verdicts and refusals
# arrive, and nothing stays behind. Makes two network namespaces; run by run.sh beside this file.
set -u
postern="node dist/cli/main.js"
work=$(mktemp -d)
failures=0

# expect WORDS ACTUAL EXPECTED
expect() {
  if [ "$2" = "$3" ]; then echo "ok      $1"; return; fi
  echo "FAILED  $1: $2 instead of $3"
  failures=$((failures + 1))
}

uname -r
modprobe nft_queue
ip netns add fw
ip netns add peer
ip link add f0 netns fw type veth peer name p0 netns peer
ip -n fw address add 10.9.0.1/24 dev f0
ip -n peer address add 10.9.0.2/24 dev p0
for name in fw:f0 fw:lo peer:p0; do ip -n "${name%:*}" link set "${name#*:}" up; done
cat > "$work/policy.json" <<'POLICY'
{
  "settings": { "compatibility": "strict" },
  "INPUT": [
    { "name": "PortRule", "protocol": "TCP", "dst_port": 81, "action": "DROP" },
    { "name": "PortRule", "protocol": "TCP", "dst_port": 82, "action": "REJECT" },
    { "name": "TCPStateRule", "match_if": ["ESTABLISHED"], "action": "ACCEPT" }
  ]
}
POLICY
expect "flow tables are found" "$($postern doctor | grep 'flow tables' | grep -c ok)" 1
for port in 80 81 82; do ip netns exec fw nc -lk -p "$port" > /dev/null & done

ip netns exec fw $postern up "$work/policy.json" > "$work/log" 2>&1 &
firewall=$!
waited=0
until grep -q ready "$work/log"; do
  waited=$((waited + 1))
  [ "$waited" -lt 120 ] || break
  sleep 1
done
expect "ready" "$(grep -c ready "$work/log")" 1
expect "the queue statement in our table" \
  "$(ip netns exec fw nft list table inet postern | grep -q 'queue .*to 0-1' && echo there)" there
attempt() { timeout 20 ip netns exec peer nc -w 8 -z 10.9.0.1 "$1"; echo $?; }
expect "port 80 is open" "$(attempt 80)" 0
expect "port 81 is silent" "$(attempt 81)" 1
begun=$(date +%s)
expect "port 82 is refused" "$(attempt 82)" 1
expect "at once, by a reset" "$([ $(($(date +%s) - begun)) -lt 8 ] && echo yes)" yes
expect "packets were judged" \
  "$(ip netns exec fw $postern status --json | grep -q '"driver":"nftables queue statement"' && echo yes)" yes
kill -TERM "$firewall"
wait "$firewall"
expect "the firewall ends" "$?" 0
expect "nothing stays behind" "$(ip netns exec fw nft list ruleset | wc -c)" 0
[ "$failures" -eq 0 ] || cat "$work/log"
exit "$failures"
