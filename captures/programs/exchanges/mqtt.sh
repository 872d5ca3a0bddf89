if has mosquitto mosquitto_pub; then
  printf 'listener 7003\nallow_anonymous true\n' >"$work/mosquitto.conf"
  background mosquitto -c "$work/mosquitto.conf"
  waitfor 7003
  record mqtt "tcp port 7003" mosquitto_pub -p 7003 -t topic -m hello
  record mqtt5 "tcp port 7003" mosquitto_pub -V 5 -p 7003 -t topic -m hello
fi
