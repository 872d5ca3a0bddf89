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

if has mariadbd mariadb-install-db mariadb; then
  mkdir "$work/mysql" && chown mysql "$work/mysql"
  mariadb-install-db --no-defaults --user=mysql --datadir="$work/mysql" --auth-root-authentication-method=normal >>"$work/log" 2>&1
  cp "$work/cert.pem" "$work/key.pem" "$work/mysql" && chown mysql "$work"/mysql/*.pem
  background mariadbd --no-defaults --user=mysql --datadir="$work/mysql" --socket="$work/mysql/socket" --port=7090 --bind-address=127.0.0.1 \
    --ssl-cert="$work/mysql/cert.pem" --ssl-key="$work/mysql/key.pem" --innodb-buffer-pool-size=8M
  waitfor 7090
  record mysql "tcp port 7090" mariadb --no-defaults -h 127.0.0.1 -P 7090 -u root --skip-ssl -e "select 1"
  record mysql-tls "tcp port 7090" mariadb --no-defaults -h 127.0.0.1 -P 7090 -u root --ssl -e "select 1"
fi
