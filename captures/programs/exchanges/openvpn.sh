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
