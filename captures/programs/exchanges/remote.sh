if has socat inetutils-telnet && [ -x /usr/sbin/telnetd ]; then
  background socat TCP-LISTEN:7130,bind=127.0.0.1,fork,reuseaddr EXEC:"/usr/sbin/telnetd -E /bin/true",nofork
  waitfor 7130
  record telnet "tcp port 7130" bash -c "sleep 1 | inetutils-telnet 127.0.0.1 7130"
fi

if has Xtigervnc xtigervncviewer; then
  background Xtigervnc :71 -rfbport 7140 -SecurityTypes None -geometry 64x64 -localhost
  waitfor 7140
  sleep 1
  packets=60 record vnc "tcp port 7140" timeout 3 xtigervncviewer -display :71 127.0.0.1::7140
fi
