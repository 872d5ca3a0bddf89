if has wireguard-go wg && [ -e /dev/net/tun ]; then
  # Two ends in one namespace; what is sent to an address of neither goes through the tunnel.
  for end in 0 1; do
    background env WG_PROCESS_FOREGROUND=1 wireguard-go -f postern-wg$end
    (umask 077; wg genkey >"$work/wg$end.key")
    wg pubkey <"$work/wg$end.key" >"$work/wg$end.pub"
  done
  sleep 1
  for end in 0 1; do
    inside wg set postern-wg$end private-key "$work/wg$end.key" listen-port $((7060 + end)) peer "$(cat "$work/wg$((1 - end)).pub")" \
      endpoint 127.0.0.1:$((7061 - end)) allowed-ips 10.9.0.0/24
    inside ip address add 10.9.$((end + 1)).1/24 dev postern-wg$end
    inside ip link set postern-wg$end up
  done
  inside ip route add 10.9.0.0/24 dev postern-wg0
  record wireguard "udp port 7061" ping -c 3 -i 0.2 -W 1 10.9.0.9
fi
