#!/bin/bash
# Records real programs talking over the loopback of a network namespace of its own: one small capture each.
#
#   captures/programs/record.sh DIRECTORY
#
# Needs root and, for the captures they make, tcpdump, openssl, openssh, nginx, curl, openvpn, redis, PostgreSQL,
# mosquitto, snmp, slapd, memcached, git, dig and python3. What is not there is skipped, and said so.
set -u
out=$(mkdir -p "${1:?a directory}" && cd "$1" && pwd)
work=$(mktemp -d)
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
# waitfor PORT: until something listens there.
waitfor() {
  for _ in $(seq 100); do
    inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null && return 0
    sleep 0.1
  done
  echo "nothing listens on $1"
  return 1
}
# record NAME FILTER COMMAND...: runs the command while the filter's packets are written to NAME.pcap.
record() {
  local name=$1 filter=$2
  shift 2
  (exec ip netns exec "$net" tcpdump -i lo -U -s 0 -c 400 -w "$out/$name.pcap" "$filter") 2>/dev/null &
  local dump=$!
  sleep 0.7
  timeout 20 ip netns exec "$net" "$@" >>"$work/log" 2>&1 </dev/null
  sleep 0.5
  kill "$dump" 2>/dev/null
  wait "$dump" 2>/dev/null
  echo "recorded $name"
}

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=server.example.org -addext subjectAltName=DNS:server.example.org,DNS:alias.example.org \
  -addext basicConstraints=critical,CA:TRUE -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null

if has openssl; then
  background openssl s_server -accept 8443 -key "$work/key.pem" -cert "$work/cert.pem" -www
  waitfor 8443
  record tls12 "tcp port 8443" bash -c "printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_2 -alpn h2,http/1.1 -quiet -no_ign_eof"
  record tls13 "tcp port 8443" bash -c "printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_3 -quiet -no_ign_eof"
  record tls-resumed "tcp port 8443" bash -c "
    (sleep 1; echo Q) | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_2 -sess_out $work/session
    (sleep 1; echo Q) | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_2 -sess_in $work/session"
  background openssl s_server -accept 8444 -dtls1_2 -key "$work/key.pem" -cert "$work/cert.pem"
  sleep 0.5
  record dtls12 "udp port 8444" bash -c "(sleep 1; echo hello; sleep 1) | openssl s_client -dtls1_2 -connect 127.0.0.1:8444 -servername www.example.org"
fi

if has nginx curl; then
  cat >"$work/nginx.conf" <<NGINX
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; events {}
http {
  access_log off;
  client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
  server { listen 8081; location / { return 200 "hello"; } }
  server { listen 8082 http2; location / { return 200 "hello"; } }
  server { listen 8446 ssl http2; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; location / { return 200 "hello"; } }
}
NGINX
  background nginx -c "$work/nginx.conf"
  waitfor 8081
  record http1 "tcp port 8081" curl -s -H "Host: www.example.org" http://127.0.0.1:8081/page
  record http2 "tcp port 8082" curl -s --http2-prior-knowledge -H "Host: www.example.org" http://127.0.0.1:8082/page
  record http2-tls "tcp port 8446" curl -sk --resolve www.example.org:8446:127.0.0.1 https://www.example.org:8446/
fi

if has ssh ssh-keygen git && [ -x /usr/sbin/sshd ]; then
  ssh-keygen -q -t ed25519 -N "" -f "$work/host" && ssh-keygen -q -t ed25519 -N "" -f "$work/user"
  cp "$work/user.pub" "$work/authorized" && mkdir -p /run/sshd
  background /usr/sbin/sshd -D -p 2222 -h "$work/host" -o AuthorizedKeysFile="$work/authorized" -o StrictModes=no -o PidFile=none
  waitfor 2222
  login=(-i "$work/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null)
  record ssh "tcp port 2222" ssh -p 2222 "${login[@]}" 127.0.0.1 true
  git init -q --bare "$work/repository.git"
  record git-over-ssh "tcp port 2222" env GIT_SSH_COMMAND="ssh -p 2222 ${login[*]}" git ls-remote "ssh://127.0.0.1$work/repository.git"
fi

if has openvpn; then
  openvpn --genkey secret "$work/static.key" && openvpn --genkey tls-crypt-v2-server "$work/v2-server.key"
  openvpn --tls-crypt-v2 "$work/v2-server.key" --genkey tls-crypt-v2-client "$work/v2-client.key"
  port=1300
  for mode in plain tls-auth tls-crypt tls-crypt-v2; do
    for proto in udp tcp; do
      port=$((port + 1))
      client=() server=()
      case $mode in
        tls-auth) server=(--tls-auth "$work/static.key" 0) client=(--tls-auth "$work/static.key" 1) ;;
        tls-crypt) server=(--tls-crypt "$work/static.key") client=(--tls-crypt "$work/static.key") ;;
        tls-crypt-v2) server=(--tls-crypt-v2 "$work/v2-server.key") client=(--tls-crypt-v2 "$work/v2-client.key") ;;
      esac
      suffix=$([ "$proto" = tcp ] && echo -server)
      common=(--dev null --ca "$work/cert.pem" --cert "$work/cert.pem" --key "$work/key.pem" --data-ciphers AES-256-GCM --verb 1)
      background openvpn --proto "$proto$suffix" --local 127.0.0.1 --port $port --tls-server --dh none "${common[@]}" "${server[@]}"
      sleep 0.5
      suffix=$([ "$proto" = tcp ] && echo -client)
      record "openvpn-$proto-$mode" "$proto port $port" timeout 5 openvpn --proto "$proto$suffix" --remote 127.0.0.1 $port --nobind --tls-client "${common[@]}" "${client[@]}"
    done
  done
fi

if has redis-server redis-cli; then
  background redis-server --port 7000 --save "" --dir "$work"
  waitfor 7000
  record redis "tcp port 7000" redis-cli -p 7000 set key value
fi

if has memcached; then
  background memcached -u nobody -p 7001 -U 0 -l 127.0.0.1
  waitfor 7001
  record memcached "tcp port 7001" bash -c "exec 3<>/dev/tcp/127.0.0.1/7001; printf 'set a 0 0 1\r\nb\r\nget a\r\nquit\r\n' >&3; cat <&3"
fi

postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
if has psql && [ -n "$postgres" ] && id postgres >/dev/null 2>&1; then
  chmod 755 "$work" && mkdir "$work/db" && chown postgres "$work/db"
  su postgres -s /bin/sh -c "$postgres/initdb -D $work/db -A trust" >>"$work/log" 2>&1
  cp "$work/key.pem" "$work/db/server.key" && cp "$work/cert.pem" "$work/db/server.crt"
  chown postgres "$work"/db/server.* && chmod 600 "$work/db/server.key"
  background su postgres -s /bin/sh -c "exec $postgres/postgres -D $work/db -p 7002 -k $work/db -c ssl=on"
  waitfor 7002
  record postgresql "tcp port 7002" psql "host=127.0.0.1 port=7002 user=postgres sslmode=disable" -c "select 1"
  record postgresql-tls "tcp port 7002" psql "host=127.0.0.1 port=7002 user=postgres sslmode=require" -c "select 1"
fi

if has mosquitto mosquitto_pub; then
  printf 'listener 7003\nallow_anonymous true\n' >"$work/mosquitto.conf"
  background mosquitto -c "$work/mosquitto.conf"
  waitfor 7003
  record mqtt "tcp port 7003" mosquitto_pub -p 7003 -t topic -m hello
  record mqtt5 "tcp port 7003" mosquitto_pub -V 5 -p 7003 -t topic -m hello
fi

if has snmpd snmpget; then
  printf 'rocommunity public\ncreateUser u SHA password AES password\nrouser u\n' >"$work/snmpd.conf"
  background snmpd -f -C -c "$work/snmpd.conf" -I system_mib,sysORTable udp:127.0.0.1:7004
  sleep 1
  record snmp2c "udp port 7004" snmpget -v2c -c public 127.0.0.1:7004 1.3.6.1.2.1.1.1.0
  record snmp3 "udp port 7004" snmpget -v3 -l noAuthNoPriv -u u 127.0.0.1:7004 1.3.6.1.2.1.1.1.0
fi

if has slapd ldapsearch; then
  mkdir -p "$work/ldap"
  cat >"$work/slapd.conf" <<SLAPD
include /etc/ldap/schema/core.schema
moduleload back_mdb
TLSCertificateFile $work/cert.pem
TLSCertificateKeyFile $work/key.pem
database mdb
suffix "dc=example,dc=org"
directory $work/ldap
SLAPD
  background slapd -d 0 -f "$work/slapd.conf" -h ldap://127.0.0.1:7005
  waitfor 7005
  record ldap "tcp port 7005" ldapsearch -x -H ldap://127.0.0.1:7005 -b dc=example,dc=org
  record ldap-starttls "tcp port 7005" env LDAPTLS_REQCERT=never ldapsearch -x -ZZ -H ldap://127.0.0.1:7005 -b dc=example,dc=org
fi

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

cat >"$work/mail.py" <<'MAIL'
import socket, ssl, sys
cert, key = sys.argv[1:3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(cert, key)
listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 7007)); listener.listen()
while True:
    peer, _ = listener.accept()
    try:
        peer.sendall(b"220 mail.example.org ESMTP ready\r\n")
        while True:
            line = peer.recv(4096)
            if not line: break
            if line[:4].upper() == b"EHLO": peer.sendall(b"250-mail.example.org\r\n250 STARTTLS\r\n")
            elif line[:8].upper() == b"STARTTLS":
                peer.sendall(b"220 go ahead\r\n"); peer = context.wrap_socket(peer, server_side=True)
            elif line[:4].upper() == b"QUIT": peer.sendall(b"221 bye\r\n"); break
            else: peer.sendall(b"250 ok\r\n")
    except OSError: pass
    peer.close()
MAIL
if has python3; then
  background python3 "$work/mail.py" "$work/cert.pem" "$work/key.pem"
  waitfor 7007
  record smtp "tcp port 7007" python3 -c "import smtplib; s = smtplib.SMTP('127.0.0.1', 7007); s.ehlo(); s.quit()"
  record smtp-starttls "tcp port 7007" python3 -c "
import smtplib, ssl
c = ssl._create_unverified_context(); s = smtplib.SMTP('127.0.0.1', 7007); s.ehlo(); s.starttls(context=c); s.ehlo(); s.quit()"
fi
