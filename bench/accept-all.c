/*
 * The yardstick: a queue loop in C that accepts every packet and does nothing else.
 *
 * It sets the queue up exactly as Postern does (flags, copy range, queue length, receive buffer), takes packets
 * with recvmmsg, reads each packet's id, and sends all verdicts of a batch in one send. With --join it also joins
 * the verdicts of a batch into one message, as Postern does; without it each packet has a message of its own.
 *
 *   accept-all [--queue N] [--batch N] [--no-gso] [--join]
 *
 * Prints "ready" when the queue is bound, and ends on SIGTERM. How much it did stands in the kernel's own figures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COPY_RANGE = 65531, SLOT_BYTES = 66624, QUEUE_PACKETS = 16384, RECEIVE_BYTES = 67108864, MAX_BATCH = 1024 };

struct request {
	struct nlmsghdr header;
	struct nfgenmsg family;
	char attributes[256];
};

struct verdict {
	struct nlmsghdr header;
	struct nfgenmsg family;
	struct nlattr attribute;
	struct nfqnl_msg_verdict_hdr body;
};

static int queue_number = 0, batch = 256, gso = 1, join = 0;
static struct mmsghdr headers[MAX_BATCH];
static struct iovec vectors[MAX_BATCH];
static struct verdict verdicts[MAX_BATCH];

static void fail(const char *what) {
	perror(what);
	exit(3);
}

static void put(struct request *request, int type, const void *value, int bytes) {
	struct nlattr *attribute = (struct nlattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + bytes;
	memcpy((char *)attribute + NLA_HDRLEN, value, bytes);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + NLA_ALIGN(attribute->nla_len);
}

static void bind_queue(int fd) {
	struct request request = { 0 };
	struct nfqnl_msg_config_cmd command = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params params = { htonl(COPY_RANGE), NFQNL_COPY_PACKET };
	uint32_t length = htonl(QUEUE_PACKETS), mask = htonl(15);
	uint32_t flags = htonl(NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_UID_GID | (gso ? NFQA_CFG_F_GSO : 0));
	char answer[4096];
	struct nlmsgerr *error = (struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer);

	request.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	request.header.nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_CONFIG;
	request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request.family.res_id = htons(queue_number);
	put(&request, NFQA_CFG_CMD, &command, sizeof command);
	put(&request, NFQA_CFG_PARAMS, &params, sizeof params);
	put(&request, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
	put(&request, NFQA_CFG_MASK, &mask, sizeof mask);
	put(&request, NFQA_CFG_FLAGS, &flags, sizeof flags);
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0) fail("send");
	if (recv(fd, answer, sizeof answer, 0) < 0) fail("recv");
	if (error->error != 0) {
		errno = -error->error;
		fail("bind queue");
	}
}

static int open_queue(void) {
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), one = 1, bytes = RECEIVE_BYTES;
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("netlink");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof one);
	bind_queue(fd);
	return fd;
}

static void prepare(void) {
	char *memory = calloc(batch, SLOT_BYTES);
	if (memory == NULL) fail("memory");
	for (int i = 0; i < batch; i += 1) {
		vectors[i] = (struct iovec){ memory + (size_t)i * SLOT_BYTES, SLOT_BYTES };
		headers[i].msg_hdr.msg_iov = &vectors[i];
		headers[i].msg_hdr.msg_iovlen = 1;
	}
}

static void write_verdict(struct verdict *verdict, int type, uint32_t id) {
	verdict->header = (struct nlmsghdr){ sizeof *verdict, (NFNL_SUBSYS_QUEUE << 8) | type, NLM_F_REQUEST, 0, 0 };
	verdict->family = (struct nfgenmsg){ AF_UNSPEC, NFNETLINK_V0, htons(queue_number) };
	verdict->attribute = (struct nlattr){ NLA_HDRLEN + sizeof verdict->body, NFQA_VERDICT_HDR };
	verdict->body = (struct nfqnl_msg_verdict_hdr){ htonl(NF_ACCEPT), id };
}

/* The id of a packet, in network order; the kernel sends the packet header first. Returns 0 for no packet. */
static int packet_id(int i, uint32_t *id) {
	struct nlmsghdr *header = vectors[i].iov_base;
	struct nlattr *attribute = (struct nlattr *)((char *)header + NLMSG_LENGTH(sizeof(struct nfgenmsg)));
	if (header->nlmsg_type != ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET)) return 0;
	if (attribute->nla_type != NFQA_PACKET_HDR) return 0;
	*id = ((struct nfqnl_msg_packet_hdr *)((char *)attribute + NLA_HDRLEN))->packet_id;
	return 1;
}

static void answer(int fd, int count) {
	int packets = 0, messages = 0;
	uint32_t id;
	for (int i = 0; i < count; i += 1) {
		if (!packet_id(i, &id)) continue;
		packets += 1;
		if (join) write_verdict(&verdicts[0], packets > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, id);
		else write_verdict(&verdicts[messages], NFQNL_MSG_VERDICT, id);
		messages = join ? 1 : messages + 1;
	}
	if (messages > 0 && send(fd, verdicts, messages * sizeof verdicts[0], 0) < 0) perror("send verdicts");
}

static void options(int count, char **values) {
	for (int i = 1; i < count; i += 1) {
		if (strcmp(values[i], "--queue") == 0 && i + 1 < count) queue_number = atoi(values[++i]);
		else if (strcmp(values[i], "--batch") == 0 && i + 1 < count) batch = atoi(values[++i]);
		else if (strcmp(values[i], "--no-gso") == 0) gso = 0;
		else if (strcmp(values[i], "--join") == 0) join = 1;
		else exit(2);
	}
	if (batch < 1 || batch > MAX_BATCH) exit(2);
}

static volatile sig_atomic_t stopped;

static void on_signal(int signal) {
	(void)signal;
	stopped = 1;
}

int main(int count, char **values) {
	options(count, values);
	prepare();
	int fd = open_queue();
	struct pollfd polled = { fd, POLLIN, 0 };
	struct sigaction action = { .sa_handler = on_signal };
	sigaction(SIGTERM, &action, NULL);
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		int received = poll(&polled, 1, -1) > 0 ? recvmmsg(fd, headers, batch, MSG_DONTWAIT, NULL) : 0;
		if (received > 0) answer(fd, received);
	}
	return 0;
}
