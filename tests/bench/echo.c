/* The bare limit in C: subscribes at QoS 1, and answers each key of one panel with its lamp.
 *
 * echo HOST PORT FILTER PRESS_TOPIC LAMP_TOPIC     says "ready" once subscribed, then echoes until killed.
 * TCP_NODELAY, TCP_QUICKACK after each read, lamp and PUBACK in one write; MQTT 3.1.1 as far as this needs it.
 */
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char in[1 << 16], out[1 << 16];
static size_t held, used;
static unsigned mid;

static void put_text(const char *text, size_t size) {
    out[used++] = size >> 8;
    out[used++] = size & 255;
    memcpy(out + used, text, size);
    used += size;
}

static void head(unsigned char first, size_t size) {
    out[used++] = first;
    do {
        out[used++] = (size & 127) | (size > 127 ? 128 : 0);
        size >>= 7;
    } while (size);
}

static void send_all(int fd) {
    for (size_t at = 0; at < used;) {
        ssize_t sent = write(fd, out + at, used - at);
        if (sent <= 0) exit(1);
        at += sent;
    }
    used = 0;
}

static int dial(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int one = 1;
    if (getaddrinfo(host, port, &hints, &found)) return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen)) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void lamp(const char *topic, int on) {
    const char *payload = on ? "{\"state\":\"on\"}" : "{\"state\":\"off\"}";
    size_t size = strlen(topic), body = strlen(payload);
    mid = mid % 65535 + 1;
    head(0x33, 2 + size + 2 + body);
    put_text(topic, size);
    out[used++] = mid >> 8;
    out[used++] = mid & 255;
    memcpy(out + used, payload, body);
    used += body;
}

static void published(const unsigned char *body, size_t size, int qos, char **argv) {
    size_t topic = body[0] << 8 | body[1], at = 2 + topic + (qos ? 2 : 0);
    if (topic == strlen(argv[4]) && !memcmp(body + 2, argv[4], topic)) {
        if (memmem(body + at, size - at, "\"pause\"", 7)) lamp(argv[5], 0);
        if (memmem(body + at, size - at, "\"unpause\"", 9)) lamp(argv[5], 1);
    }
    if (qos) {
        head(0x40, 2);
        memcpy(out + used, body + 2 + topic, 2);
        used += 2;
    }
}

static size_t take(char **argv) {
    size_t size = 0, at = 1, shift = 0;
    do {
        if (at >= held) return 0;
        size |= (size_t)(in[at] & 127) << shift;
        shift += 7;
    } while (in[at++] & 128);
    if (held < at + size) return 0;
    switch (in[0] >> 4) {
    case 2: /* CONNACK */
        head(0x82, 2 + 2 + strlen(argv[3]) + 1);
        out[used++] = 0;
        out[used++] = 1;
        put_text(argv[3], strlen(argv[3]));
        out[used++] = 1;
        break;
    case 3: published(in + at, size, in[0] >> 1 & 3, argv); break;
    case 9: puts("ready"), fflush(stdout); break;
    }
    return at + size;
}

int main(int argc, char **argv) {
    char name[32];
    int fd, one = 1;
    if (argc != 6 || (fd = dial(argv[1], argv[2])) < 0) return 1;
    size_t size = snprintf(name, sizeof name, "echo-c-%d", getpid());
    head(0x10, 10 + 2 + size);
    put_text("MQTT", 4);
    memcpy(out + used, "\x04\x02\0\0", 4);
    used += 4;
    put_text(name, size);
    send_all(fd);
    for (;;) {
        ssize_t got = read(fd, in + held, sizeof in - held);
        if (got <= 0) return 1;
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
        held += got;
        for (size_t done; held && (done = take(argv));) {
            memmove(in, in + done, held - done);
            held -= done;
        }
        if (used) send_all(fd);
    }
}
