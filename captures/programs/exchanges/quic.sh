if has node npm; then
  # Cloudflare's quiche as an npm package with the compiled library; no part of this repository's own packages.
  mkdir "$work/quic" && (cd "$work/quic" && npm init -y && npm install --no-audit --no-fund @matrixai/quic@2.0.9) >>"$work/log" 2>&1
  if [ -d "$work/quic/node_modules/@matrixai/quic" ]; then
    quic=(node "$here/exchanges/quic.mjs" "$work/quic" "$work/cert.pem" "$work/key.pem")
    background "${quic[@]}" server 7070
    sleep 1
    record quic "udp port 7070" "${quic[@]}" client 7070
  else
    echo "skipped: no @matrixai/quic"
  fi
fi
