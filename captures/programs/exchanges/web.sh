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
