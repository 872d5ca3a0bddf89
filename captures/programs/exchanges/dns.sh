if has python3 dig; then
  cat >"$work/dns.py" <<'DNS'
import socket, struct, threading
def answer(query):
    return query[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + query[12:query.index(b"\0", 12) + 5] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01"
def tcp():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 7006)); s.listen()
    while True:
        c, _ = s.accept(); n, = struct.unpack(">H", c.recv(2)); a = answer(c.recv(n)); c.sendall(struct.pack(">H", len(a)) + a); c.close()
threading.Thread(target=tcp, daemon=True).start()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 7006))
while True:
    q, peer = u.recvfrom(512); u.sendto(answer(q), peer)
DNS
  background python3 "$work/dns.py"
  sleep 1
  record dns "udp port 7006" dig @127.0.0.1 -p 7006 +noedns www.example.org
  record dns-tcp "tcp port 7006" dig @127.0.0.1 -p 7006 +tcp +noedns www.example.org
fi
