if has openssl; then
  background openssl s_server -accept 8443 -key "$work/key.pem" -cert "$work/cert.pem" -www
  waitfor 8443
  record tls12 "tcp port 8443" bash -c "printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_2 -alpn h2,http/1.1 -quiet -no_ign_eof"
  record tls13 "tcp port 8443" bash -c "printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_3 -quiet -no_ign_eof"
  for version in 2 3; do
    name=tls1$version-resumed
    record $name "tcp port 8443" bash -c "
      (sleep 1; echo Q) | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_$version -sess_out $work/$name
      (sleep 1; echo Q) | openssl s_client -connect 127.0.0.1:8443 -servername www.example.org -tls1_$version -sess_in $work/$name"
  done
  # Its input stays open, or it would leave at once.
  background bash -c "sleep 20 | openssl s_server -accept 8444 -dtls1_2 -key $work/key.pem -cert $work/cert.pem"
  sleep 0.5
  record dtls12 "udp port 8444" bash -c "(sleep 1; echo hello; sleep 1) | openssl s_client -dtls1_2 -connect 127.0.0.1:8444 -servername www.example.org"
fi
