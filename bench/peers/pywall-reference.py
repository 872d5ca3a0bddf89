"""PyWall's own design, as a reference: one packet at a time, parsed and judged in Python.

A netlink queue is read with recv, each packet is unpacked with struct, handed to one rule object after the
other, and answered with a message of its own.

    python3 pywall-reference.py POLICY.json

POLICY.json is what policy.mjs calls pywallPolicy. Prints "ready" when queue 0 is bound; ends on SIGTERM.
"""

import ipaddress
import json
import socket
import struct
import sys

NETLINK_NETFILTER = 12
QUEUE = 3 << 8
PACKET, VERDICT, CONFIG = QUEUE | 0, QUEUE | 1, QUEUE | 2
REQUEST, ACKNOWLEDGE = 1, 4
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN = 1, 2, 3
BIND, COPY_PACKET = 1, 2
PACKET_HDR, PAYLOAD, VERDICT_HDR = 1, 10, 2
DROP, ACCEPT = 0, 1
COPY_RANGE = 65531
TCP, UDP = 6, 17


class SourceRule:
    def __init__(self, network):
        network = ipaddress.ip_network(network)
        self.network, self.mask = int(network.network_address), int(network.netmask)

    def match(self, packet):
        return packet["source"] & self.mask == self.network


class PortRule:
    def __init__(self, protocol, low, high, network=None):
        self.protocol, self.low, self.high = protocol, low, high
        self.source = SourceRule(network) if network else None

    def match(self, packet):
        if packet["protocol"] != self.protocol or not self.low <= packet["destination_port"] <= self.high:
            return False
        return self.source is None or self.source.match(packet)


def read_rules(policy):
    rules = []
    for each in policy["blocked"]:
        if "low" in each:
            protocol = TCP if each["kind"] == "tcp" else UDP
            rules.append((PortRule(protocol, each["low"], each["high"], each["source"]), DROP))
        else:
            rules.append((SourceRule(each["source"]), DROP))
    for protocol, name in ((TCP, "tcp"), (UDP, "udp")):
        rules.extend((PortRule(protocol, port, port), ACCEPT) for port in policy[name])
    return rules


def parse(payload):
    header_bytes = (payload[0] & 15) * 4
    protocol = payload[9]
    packet = {"protocol": protocol, "destination_port": -1}
    (packet["source"],) = struct.unpack_from("!I", payload, 12)
    if protocol in (TCP, UDP) and len(payload) >= header_bytes + 4:
        (packet["destination_port"],) = struct.unpack_from("!H", payload, header_bytes + 2)
    return packet


def judge(rules, payload):
    if payload[0] >> 4 != 4:
        return ACCEPT
    packet = parse(payload)
    for rule, verdict in rules:
        if rule.match(packet):
            return verdict
    return ACCEPT


def attribute(kind, value):
    padding = b"\0" * (-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), kind) + value + padding


def message(kind, flags, body):
    family = struct.pack("!BBH", 0, 0, 0)
    return struct.pack("=IHHII", 20 + len(body), kind, flags, 0, 0) + family + body


def attributes(data, start, end):
    while start + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, start)
        if length < 4:
            return
        yield kind & 0x7FFF, data[start + 4 : start + length]
        start += (length + 3) & ~3


def open_queue():
    queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    queue.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
    queue.setsockopt(270, 5, 1)  # SOL_NETLINK, NETLINK_NO_ENOBUFS
    queue.bind((0, 0))
    settings = (
        attribute(CFG_CMD, struct.pack("!BBH", BIND, 0, 0))
        + attribute(CFG_PARAMS, struct.pack("!IB", COPY_RANGE, COPY_PACKET))
        + attribute(CFG_QUEUE_MAXLEN, struct.pack("!I", 16384))
    )
    queue.send(message(CONFIG, REQUEST | ACKNOWLEDGE, settings))
    answer = queue.recv(4096)
    (error,) = struct.unpack_from("=i", answer, 16)
    if error:
        sys.exit(f"cannot bind the queue: error {-error}")
    return queue


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rules = read_rules(json.load(file))
    queue = open_queue()
    print("ready", flush=True)
    while True:
        data = queue.recv(1 << 17)
        length, kind = struct.unpack_from("=IH", data)
        if kind != PACKET:
            continue
        found = dict(attributes(data, 20, length))
        verdict = judge(rules, found[PAYLOAD])
        answer = struct.pack("!I", verdict) + found[PACKET_HDR][:4]
        queue.send(message(VERDICT, REQUEST, attribute(VERDICT_HDR, answer)))


main()
