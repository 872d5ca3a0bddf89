if has snmpd snmpget; then
  printf 'rocommunity public\ncreateUser u SHA password AES password\nrouser u\n' >"$work/snmpd.conf"
  background snmpd -f -C -c "$work/snmpd.conf" -I system_mib,sysORTable udp:127.0.0.1:7004
  sleep 1
  record snmp2c "udp port 7004" snmpget -v2c -c public 127.0.0.1:7004 1.3.6.1.2.1.1.1.0
  record snmp3 "udp port 7004" snmpget -v3 -l noAuthNoPriv -u u 127.0.0.1:7004 1.3.6.1.2.1.1.1.0
fi
