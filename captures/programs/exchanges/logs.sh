if has logger socat; then
  background socat -u UDP-RECVFROM:7080,fork OPEN:/dev/null
  background socat -u TCP-LISTEN:7080,fork,reuseaddr OPEN:/dev/null
  waitfor 7080
  record syslog-rfc5424 "udp port 7080" logger -n 127.0.0.1 -P 7080 -d --rfc5424 -t program hello
  record syslog-rfc3164 "udp port 7080" logger -n 127.0.0.1 -P 7080 -d --rfc3164 -t program hello
  record syslog-tcp "tcp port 7080" logger -n 127.0.0.1 -P 7080 -T --octet-count -t program hello
fi
