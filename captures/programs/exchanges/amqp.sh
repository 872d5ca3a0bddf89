if has rabbitmq-server amqp-publish; then
  mkdir -p "$work/rabbit" && chown rabbitmq "$work/rabbit"
  printf 'listeners.tcp.local = 127.0.0.1:7100\n' >"$work/rabbit/rabbitmq.conf"
  background su rabbitmq -s /bin/sh -c "HOME=$work/rabbit RABBITMQ_NODENAME=recorder@localhost RABBITMQ_DIST_PORT=7101 ERL_EPMD_PORT=7102 \
    RABBITMQ_MNESIA_BASE=$work/rabbit RABBITMQ_LOG_BASE=$work/rabbit RABBITMQ_CONFIG_FILE=$work/rabbit/rabbitmq exec /usr/lib/rabbitmq/bin/rabbitmq-server"
  for _ in 1 2 3; do waitfor 7100 >/dev/null && break; done
  record amqp "tcp port 7100" amqp-publish --server 127.0.0.1 --port 7100 -r queue -b hello
fi
