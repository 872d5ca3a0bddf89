#!/bin/sh
# Makes the files of this folder: a client, a router with NAT and a server in network namespaces, real flows between
# them, and the router's connection tracker as the kernel tells it over netlink. Needs root, ip, nft, python3, ping.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
c=states-cap-c r=states-cap-r s=states-cap-s
cleanup() { for n in $c $r $s; do ip netns del $n 2>/dev/null || true; done; }
trap cleanup EXIT INT TERM
cleanup
for n in $c $r $s; do ip netns add $n; ip -n $n link set lo up; done
ip -n $r link add rc type veth peer name c0 netns $c
ip -n $r link add rs type veth peer name s0 netns $s
ip -n $c addr add 10.71.1.2/24 dev c0; ip -n $r addr add 10.71.1.1/24 dev rc
ip -n $s addr add 10.71.2.2/24 dev s0; ip -n $r addr add 10.71.2.1/24 dev rs
ip -n $c addr add fd71:1::2/64 dev c0 nodad; ip -n $r addr add fd71:1::1/64 dev rc nodad
ip -n $s addr add fd71:2::2/64 dev s0 nodad; ip -n $r addr add fd71:2::1/64 dev rs nodad
ip -n $c link set c0 up; ip -n $r link set rc up; ip -n $r link set rs up; ip -n $s link set s0 up
ip -n $c route add default via 10.71.1.1; ip -n $s route add 10.71.1.0/24 via 10.71.2.1
ip -n $c -6 route add default via fd71:1::1; ip -n $s -6 route add default via fd71:2::1
ip netns exec $r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
  net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1
ip netns exec $r nft -f - <<'NFT'
table ip nat {
  chain pre { type nat hook prerouting priority dstnat; ip daddr 10.71.1.1 tcp dport 8080 dnat to 10.71.2.2:7001; }
  chain post { type nat hook postrouting priority srcnat; oifname rs tcp dport 7002 snat to 10.71.2.77:31000-31999; oifname rs udp dport 7003 masquerade; }
}
table inet marks {
  chain raw { type filter hook prerouting priority raw; ip saddr 10.71.1.2 udp dport 7004 ct zone set 9; ip daddr 10.71.1.2 udp sport 7004 ct zone set 9; }
  chain f { type filter hook forward priority 0; tcp dport 7002 ct mark set 0x10203040; }
}
NFT
ip -n $r addr add 10.71.2.77/24 dev rs
cat > /tmp/states-cap.py <<'PY'
import os, socket, struct, subprocess, sys, time, ctypes, threading
c, r, s, out = sys.argv[1:5]; socket.setdefaulttimeout(5)
libc = ctypes.CDLL(None, use_errno=True)
def enter(name):
    fd = os.open("/run/netns/" + name, os.O_RDONLY); assert libc.setns(fd, 0x40000000) == 0; os.close(fd)
def within(name, make):
    enter(name); return make()
def listen(family, kind, address, port):
    sock = socket.socket(family, kind); sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); sock.bind((address, port))
    if kind == socket.SOCK_STREAM: sock.listen()
    return sock
I4, I6, T, U = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
enter(s)
servers = {p: listen(I4, T, "10.71.2.2", p) for p in (7000, 7001, 7002, 7005)}
t6 = listen(I6, T, "fd71:2::2", 7006)
udp = {p: listen(I4, U, "10.71.2.2", p) for p in (7003, 7004)}
enter(r)
NL = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); NL.bind((0, 0))
EV = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); EV.setsockopt(socket.SOL_SOCKET, 33, 1 << 20); EV.bind((0, 7))
enter(c)
keep = []
def tcp(address, port, family=I4, size=1000):
    client = socket.socket(family, T); client.connect((address, port))
    server = t6 if family == I6 else servers[{8080: 7001}.get(port, port)]
    peer, _ = server.accept(); client.sendall(b"x" * size); n = 0
    while n < size: n += len(peer.recv(65536))
    peer.sendall(b"y" * 3 * size); n = 0
    while n < 3 * size: n += len(client.recv(65536))
    keep.append((client, peer)); return client, peer
tcp("10.71.2.2", 7000); tcp("10.71.1.1", 8080); tcp("10.71.2.2", 7002, size=5000); tcp("fd71:2::2", 7006, I6)
a, b = tcp("10.71.2.2", 7005); a.shutdown(socket.SHUT_WR)
for port in (7003, 7004):
    u = socket.socket(I4, U); u.sendto(b"ping", ("10.71.2.2", port)); d, where = udp[port].recvfrom(100); udp[port].sendto(b"pong!", where); u.recvfrom(100); keep.append(u)
u = socket.socket(I4, U); u.sendto(b"lonely", ("10.71.2.2", 7099)); keep.append(u)
subprocess.run(["ping", "-qc1", "10.71.2.2"], stdout=subprocess.DEVNULL); subprocess.run(["ping", "-qc1", "fd71:2::2"], stdout=subprocess.DEVNULL)
x = socket.socket(I4, T); x.settimeout(.2)
try: x.connect(("10.71.2.2", 7999))
except OSError: pass
time.sleep(.3)
def ask(kind, flags):
    NL.send(struct.pack("=IHHIIBBH", 20, 0x100 | kind, 1 | flags, 71, 0, 0, 0, 0)); data = []
    while True:
        m = NL.recv(1 << 18); data.append(m)
        if ended(m): return data
def ended(m):
    at = 0
    while at < len(m):
        n, t = struct.unpack_from("=IH", m, at)
        if t < 16: return True
        at += (n + 3) & ~3
    return False
def save(name, datagrams): open(os.path.join(out, name), "w").write("".join(d.hex() + "\n" for d in datagrams))
save("dump.hex", ask(1, 0x300)); save("statistics.hex", ask(4, 0x300)); save("size.hex", ask(5, 4))
enter(r)
open(os.path.join(out, "dump.txt"), "w").write(subprocess.run("conntrack -L -o extended,id,ktimestamp 2>/dev/null", shell=True, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}).stdout)
subprocess.run("conntrack -D -p udp --orig-port-dst 7003", shell=True, capture_output=True)
events = []; EV.settimeout(.5)
try:
    while True: events.append(EV.recv(1 << 16))
except OSError: pass
save("events.hex", events)
PY
TZ=UTC python3 /tmp/states-cap.py $c $r $s "$here"
rm -f /tmp/states-cap.py
