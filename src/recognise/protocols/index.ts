/**
 * The built-in recognisers, most specific first: where two could claim the same bytes, the one with the
 * stronger mark is asked before the other.
 */
import type { Recogniser } from "../recogniser.ts";
import { amqp } from "./amqp.ts";
import { bittorrent } from "./bittorrent.ts";
import { dhcp } from "./dhcp.ts";
import { dhcpv6 } from "./dhcpv6.ts";
import { dns } from "./dns.ts";
import { dtls } from "./dtls.ts";
import { ftp } from "./ftp.ts";
import { http } from "./http.ts";
import { http2 } from "./http2.ts";
import { imap } from "./imap.ts";
import { ipsec, ipsecStream } from "./ipsec.ts";
import { kafka } from "./kafka.ts";
import { kerberos } from "./kerberos.ts";
import { ldap } from "./ldap.ts";
import { memcached } from "./memcached.ts";
import { mongodb } from "./mongodb.ts";
import { mqtt } from "./mqtt.ts";
import { mysql } from "./mysql.ts";
import { netbios } from "./netbios.ts";
import { ntp } from "./ntp.ts";
import { openvpn } from "./openvpn.ts";
import { pop3 } from "./pop3.ts";
import { postgresql } from "./postgresql.ts";
import { quic } from "./quic.ts";
import { rdp } from "./rdp.ts";
import { redis } from "./redis.ts";
import { rpc } from "./rpc.ts";
import { rsync } from "./rsync.ts";
import { rtcp, rtp } from "./rtp.ts";
import { rtsp } from "./rtsp.ts";
import { sip } from "./sip.ts";
import { smb } from "./smb.ts";
import { smtp } from "./smtp.ts";
import { snmp } from "./snmp.ts";
import { socks } from "./socks.ts";
import { ssdp } from "./ssdp.ts";
import { ssh } from "./ssh.ts";
import { stun } from "./stun.ts";
import { syslog } from "./syslog.ts";
import { telnet } from "./telnet.ts";
import { tls } from "./tls.ts";
import { vnc } from "./vnc.ts";
import { websocket } from "./websocket.ts";
import { wireguard } from "./wireguard.ts";

/** See the head of this file. */
export const builtInRecognisers: readonly Recogniser[] = [
  tls,
  quic,
  ssh,
  sip,
  rtsp,
  ssdp,
  http2,
  http,
  dtls,
  stun,
  dhcp,
  dhcpv6,
  wireguard,
  smb,
  netbios,
  kerberos,
  snmp,
  ldap,
  rpc,
  postgresql,
  mongodb,
  kafka,
  amqp,
  mqtt,
  mysql,
  redis,
  rdp,
  vnc,
  rsync,
  bittorrent,
  socks,
  smtp,
  ftp,
  pop3,
  imap,
  telnet,
  websocket,
  syslog,
  memcached,
  ipsec,
  ipsecStream,
  openvpn,
  dns,
  rtcp,
  rtp,
  ntp,
];
