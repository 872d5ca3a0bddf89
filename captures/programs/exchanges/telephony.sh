if has sipp && [ -f /usr/share/sip-tester/g711a.pcap ]; then
  ln -s /usr/share/sip-tester "$work/pcap"
  background bash -c "cd $work && exec sipp -sn uas -i 127.0.0.1 -p 7030 -mp 7040 -nostdin"
  sleep 1
  # The client calls and plays a recording of G.711: the call is the first flow, the sound the second.
  packets=30 record sip-rtp "udp port 7030 or udp port 7040" bash -c "cd $work && exec sipp -sn uac_pcap -i 127.0.0.1 -p 7031 -mp 7041 -m 1 -nostdin 127.0.0.1:7030"
fi

if has turnserver turnutils_uclient; then
  background turnserver -n -L 127.0.0.1 -p 7050 --allow-loopback-peers -a -u user:secret -r example.org --no-tls --no-dtls --cli-password secret --log-file stdout --pidfile "$work/turn.pid"
  background turnutils_peer -L 127.0.0.1 -p 7055
  sleep 1
  packets=30 record turn "udp port 7050" turnutils_uclient -y -n 2 -m 1 -u user -w secret -p 7050 -e 127.0.0.1 -r 7055 127.0.0.1
  packets=30 record turn-tcp "tcp port 7050" turnutils_uclient -t -y -n 2 -m 1 -u user -w secret -p 7050 -e 127.0.0.1 -r 7055 127.0.0.1
fi
