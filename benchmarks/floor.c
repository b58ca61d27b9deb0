// The floor in C: what receiving the same streams costs a client that only reads and stamps.
//
// One thread, one epoll set: wait, recvmsg with the kernel's stamp, two clocks, a row of an array. The end of a reply is
// seen from its last bytes; nothing is parsed, timed or written. What a client costs beyond this is its own.
//
// `floor PORT STREAMS REQUESTS OUTPUT_TOKENS RAMP_S` sends REQUESTS by STREAMS closed-loop streams, which start over
// RAMP_S, and prints {"tokens": ..., "reads": ..., "cpu_s": ...}: CPU time of the process from its start.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { MOST_STREAMS = 1 << 14, PROMPT_WORDS = 128, EVENTS = 64, END = 7, ENDLESS_MS = 60000 };
static const int64_t SECOND = 1000000000;

typedef struct {
  int64_t kernel, monotonic, real;
} Stamp;

typedef struct {
  int fd;
  bool begun;
  char end[END];  // the last bytes received
} Stream;

static void check(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * SECOND + now.tv_nsec;
}

static int request_of(int tokens, char *to, size_t room) {
  char body[2048];
  int size = sprintf(body, "{\"model\":\"known\",\"max_tokens\":%d,\"stream\":true,\"messages\":[{\"role\":\"user\","
                     "\"content\":\"", tokens);
  for (int i = 0; i < PROMPT_WORDS; i++) size += sprintf(body + size, " word");
  size += sprintf(body + size, "\"}]}");
  return snprintf(to, room, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body);
}

static void dial(Stream *stream, int port, int epoll) {
  int fd = stream->fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in at = {AF_INET, htons((uint16_t)port), {htonl(INADDR_LOOPBACK)}, {0}};
  check(fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof at), "connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  check(!setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one), "SO_TIMESTAMPNS");
  struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = stream};
  check(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), "epoll_ctl");
}

// Read once and stamp; whether the reply has ended.
static bool take(Stream *stream, Stamp *stamp) {
  static char data[65536];
  char control[CMSG_SPACE(sizeof(struct timespec))];
  struct iovec into = {data, sizeof data};
  struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(stream->fd, &message, 0);
  check(got > 0, "the server closed a connection");
  struct timespec at = {0};
  struct cmsghdr *told = CMSG_FIRSTHDR(&message);
  if (told && told->cmsg_type == SCM_TIMESTAMPNS) memcpy(&at, CMSG_DATA(told), sizeof at);
  *stamp = (Stamp){at.tv_sec * SECOND + at.tv_nsec, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME)};
  check(stream->begun || (got > 12 && !memcmp(data, "HTTP/1.1 200", 12)), "a reply is no 200");
  stream->begun = true;
  size_t part = got < END ? (size_t)got : END;
  memmove(stream->end, stream->end + part, END - part);
  memcpy(stream->end + END - part, data + got - part, part);
  return !memcmp(stream->end, "\r\n0\r\n\r\n", END);
}

int main(int argc, char **argv) {
  if (argc != 6) return fputs("usage: floor PORT STREAMS REQUESTS OUTPUT_TOKENS RAMP_S\n", stderr), 2;
  int port = atoi(argv[1]), streams = atoi(argv[2]), requests = atoi(argv[3]), tokens = atoi(argv[4]);
  check(streams > 0 && streams <= MOST_STREAMS && requests >= streams, "too few requests, or too many streams");
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max < MOST_STREAMS + 64 ? files.rlim_max : MOST_STREAMS + 64;
  check(!setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
  static Stream all[MOST_STREAMS];
  static char request[4096];
  int size = request_of(tokens, request, sizeof request), epoll = epoll_create1(0), started = 0, sent = 0, ended = 0;
  size_t room = (size_t)requests * (size_t)(tokens + 4), reads = 0;  // a read holds a token or more, but for heads
  Stamp *stamps = calloc(room, sizeof *stamps);
  check(stamps, "memory");
  for (int i = 0; i < streams; i++) dial(&all[i], port, epoll);
  int64_t start = clock_ns(CLOCK_MONOTONIC), step = (int64_t)(atof(argv[5]) * 1e9 / streams);
  while (ended < requests) {
    for (; started < streams && clock_ns(CLOCK_MONOTONIC) >= start + started * step; started++) {
      if (sent == requests) continue;  // quicker streams have sent them all
      sent++;
      check(send(all[started].fd, request, (size_t)size, 0) == size, "send");
    }
    struct epoll_event found[EVENTS];
    int ready = epoll_wait(epoll, found, EVENTS, started < streams ? 1 : ENDLESS_MS);
    check(ready > 0 || started < streams, "replies did not end");
    for (int i = 0; i < ready; i++) {
      Stream *stream = found[i].data.ptr;
      check(reads < room, "more reads than tokens");
      if (!take(stream, &stamps[reads++])) continue;
      ended++, stream->begun = false, stream->end[END - 1] = 0;
      if (sent >= requests) continue;
      check(send(stream->fd, request, (size_t)size, 0) == size, "send");
      sent++;
    }
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  struct timeval cpu;
  timeradd(&used.ru_utime, &used.ru_stime, &cpu);
  printf("{\"tokens\":%ld,\"reads\":%zu,\"cpu_s\":%ld.%06ld}\n", (long)ended * tokens, reads, cpu.tv_sec, cpu.tv_usec);
}
