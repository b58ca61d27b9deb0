// A server of known timing: token k of a request is due at its arrival + TTFT + k x ITL, whatever came before.
//
// One thread, one epoll set, a heap of what is due next, one send a token. It shares no code with the client that is
// held against it, nor with the embedded engine. `known_server PORT TTFT_US ITL_US` (PORT 0: any) prints
// "listening on URL" and serves until it is ended:
//
//   GET /v1/models                               one model
//   POST /v1/chat/completions, /v1/completions   a stream of max_tokens events, a chunk and a send each
//   GET, DELETE /truth                           what it knows of requests that ended, a line of JSON each; forget it
//
// Times are ns on CLOCK_MONOTONIC: arrival is the kernel's receive time of the read that completed the request, tokens
// are stamped just before each send.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_INPUT = 4 << 20, MAX_TOKENS = 131072, DEFAULT_TOKENS = 128, MAX_FDS = 1 << 16, MAX_STAMPS = 64 << 20 };
enum { EVENTS = 64, SENDS = 64, EVENT_SIZE = 512, LAST_SIZE = 2048, ID_SIZE = 128 };
static const int64_t SECOND = 1000000000, AGAIN = 100000;  // ns; AGAIN: between two tries of a send that was cut short

typedef struct {  // one request, kept until it is forgotten
  char id[ID_SIZE];
  int64_t arrival, end;
  int sent;
  bool cut;
  int64_t tokens[];
} Truth;

typedef struct {
  int fd, place;  // place: in the heap, from 1; 0 where nothing is due
  char *input;
  size_t have, room;
  Truth *now;  // the request that is being answered
  int total, event_size, word, part, last_size;  // word: where the text stands in `event`; part: bytes sent of it
  int64_t due;
  char event[EVENT_SIZE], last[LAST_SIZE];
} Conn;

static const char OK[] = "200 OK";
static const char STREAM[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n";
static const char MODELS[] = "{\"object\":\"list\",\"data\":[{\"id\":\"known\",\"object\":\"model\","
                             "\"created\":1700000000,\"owned_by\":\"benchmarks\",\"max_model_len\":131072}]}";
static const char NOT_SERVED[] = "{\"error\":{\"message\":\"It streams, and max_tokens goes from 1 to 131072.\"}}";
static const char NOT_FOUND[] = "{\"error\":{\"message\":\"There is no such path.\"}}";
static const char WORDS[] = "timeyearworklifeparthomehandweekcasefactteambookwordgamedoorname";  // of four letters each
static int64_t ttft, itl;
static Conn *heap[MAX_FDS + 1];  // from 1, the earliest first
static Truth **log_;
static size_t logged, log_room, stamps;
static int heaped, epoll, served;

static void check(bool good, const char *what) {
  if (good) return;
  perror(what);
  exit(1);
}

static void *need(void *memory) {
  check(memory, "memory");
  return memory;
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * SECOND + now.tv_nsec;
}

// --- what is due -----------------------------------------------------------------------------------------------------

static void put(Conn *conn, int place) { (heap[place] = conn)->place = place; }

// Put `conn` where it belongs, from `place` up or down.
static void settle(Conn *conn, int place) {
  for (; place > 1 && heap[place / 2]->due > conn->due; place /= 2) put(heap[place / 2], place);
  for (int child; (child = 2 * place) <= heaped; place = child) {
    if (child < heaped && heap[child + 1]->due < heap[child]->due) child++;
    if (heap[child]->due >= conn->due) break;
    put(heap[child], place);
  }
  put(conn, place);
}

static void schedule(Conn *conn, int64_t due) {
  conn->due = due;
  settle(conn, conn->place ? conn->place : ++heaped);
}

static void unschedule(Conn *conn) {
  int place = conn->place;
  if (!place) return;
  Conn *last = heap[heaped--];
  conn->place = 0;
  if (last != conn) settle(last, place);
}

// --- requests --------------------------------------------------------------------------------------------------------

// The value of a key in a JSON body; NULL without it. A quote inside a text has a backslash before it.
static const char *value_of(const char *body, const char *key) {
  size_t length = strlen(key);
  for (const char *at = body; (at = strstr(at, key)); at += length) {
    if (at[-1] != '"' || at[-2] == '\\' || at[length] != '"') continue;
    const char *after = at + length + 1;
    after += strspn(after, " \t\r\n");
    if (*after == ':') return after + 1 + strspn(after + 1, " \t\r\n");
  }
  return NULL;
}

// Words of all texts under a key.
static int words_of(const char *body, const char *key) {
  int words = 0;
  for (const char *at = body; (at = value_of(at, key));) {
    if (*at++ != '"') continue;
    for (bool inside = false; *at && *at != '"'; at++) {
      bool blank = *at == ' ' || (at[0] == '\\' && at[1] && strchr("ntr", at[1]));
      words += !blank && !inside;
      inside = !blank;
      if (*at == '\\' && at[1]) at++;
    }
  }
  return words;
}

static long number_of(const char *body, const char *key, long other) {
  const char *value = value_of(body, key);
  return value && *value >= '0' && *value <= '9' ? strtol(value, NULL, 10) : other;
}

static bool starts(const char *text, const char *with) { return text && !strncmp(text, with, strlen(with)); }

// The value of a header, without the line's end; NULL without it. `name` ends with a colon.
static const char *header(const char *head, const char *name, int *length) {
  for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, name, strlen(name))) continue;
    const char *value = line + 2 + strlen(name);
    value += strspn(value, " \t");
    *length = (int)strcspn(value, "\r");
    return value;
  }
  return NULL;
}

// --- replies ---------------------------------------------------------------------------------------------------------

// All of it, however long it takes: for what is asked while no load runs, and for heads, which are short.
static bool send_all(Conn *conn, const char *data, size_t size) {
  while (size) {
    ssize_t sent = send(conn->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) data += sent, size -= (size_t)sent;
  }
  return true;
}

static bool answer(Conn *conn, const char *status, const char *body, size_t size) {
  char head[128];
  int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n", status, size);
  return send_all(conn, head, (size_t)length) && send_all(conn, body, size);
}

static bool tell_truth(Conn *conn) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = need(open_memstream(&text, &size));
  for (size_t i = 0; i < logged; i++) {
    const Truth *one = log_[i];
    fprintf(out, *one->id ? "{\"id\":\"%s\"" : "{\"id\":null%s", one->id);
    fprintf(out, ",\"arrival_ns\":%ld,\"end_ns\":%ld,\"outcome\":\"%s\",\"tokens_ns\":[", (long)one->arrival,
            (long)one->end, one->cut ? "disconnected" : "ok");
    for (int k = 0; k < one->sent; k++) fprintf(out, k ? ",%ld" : "%ld", (long)one->tokens[k]);
    fputs("]}\n", out);
  }
  check(!fclose(out), "truth");
  bool told = answer(conn, OK, text, size);
  free(text);
  return told;
}

static bool forget(Conn *conn) {
  while (logged) free(log_[--logged]);
  stamps = 0;
  return answer(conn, OK, "", 0);
}

// One event in one chunk; returns its size.
static int event(char *to, size_t room, bool chat, const char *choices, const char *usage) {
  char data[EVENT_SIZE];
  int size = snprintf(data, sizeof data, "data: {\"id\":\"%s-%08d\",\"object\":\"%s\",\"created\":1700000000,"
                      "\"model\":\"known\",\"choices\":[%s]%s}\n\n", chat ? "chatcmpl" : "cmpl", served,
                      chat ? "chat.completion.chunk" : "text_completion", choices, usage);
  int all = snprintf(to, room, "%x\r\n%s\r\n", (unsigned)size, data);
  check(size < (int)sizeof data && all < (int)room, "event");
  return all;
}

static void prepare(Conn *conn, bool chat, const char *body) {
  static const char *const TOKEN[] = {"{\"index\":0,\"text\":\" word\",\"logprobs\":null,\"finish_reason\":null}",
    "{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}"};
  static const char *const FINISH[] = {"{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"}",
    "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}"};
  int prompt = words_of(body, "content") + words_of(body, "prompt") + words_of(body, "text");
  char usage[128];
  snprintf(usage, sizeof usage, ",\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d,\"completion_tokens\":%d}",
           prompt, prompt + conn->total, conn->total);
  conn->event_size = event(conn->event, EVENT_SIZE, chat, TOKEN[chat], "");
  conn->word = (int)(strstr(conn->event, "\" word\"") - conn->event) + 2;
  int size = event(conn->last, EVENT_SIZE, chat, FINISH[chat], "");
  if (starts(value_of(body, "include_usage"), "true")) size += event(conn->last + size, EVENT_SIZE, chat, "", usage);
  conn->last_size = size + sprintf(conn->last + size, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

// Begin the stream that a body asks for.
static bool begin(Conn *conn, bool chat, const char *head, const char *body, int64_t arrival) {
  long total = number_of(body, "max_completion_tokens", number_of(body, "max_tokens", DEFAULT_TOKENS));
  if (!starts(value_of(body, "stream"), "true") || total < 1 || total > MAX_TOKENS)
    return answer(conn, "400 Bad Request", NOT_SERVED, sizeof NOT_SERVED - 1);
  if ((stamps += (size_t)total) > MAX_STAMPS) errno = ENOSPC;
  check(stamps <= MAX_STAMPS, "known_server: more tokens than it remembers; DELETE /truth between loads");
  Truth *truth = conn->now = need(calloc(1, sizeof *truth + sizeof *truth->tokens * (size_t)total));
  truth->arrival = arrival;
  int length = 0;
  const char *id = header(head, "X-Request-Id:", &length);
  if (id && length < ID_SIZE && (int)strcspn(id, "\"\\\r") == length) memcpy(truth->id, id, (size_t)length);
  conn->total = (int)total, served++;
  prepare(conn, chat, body);
  schedule(conn, arrival + ttft);
  return send_all(conn, STREAM, sizeof STREAM - 1);
}

static void end(Conn *conn, bool cut) {
  unschedule(conn);
  conn->now->cut = cut;
  conn->now->end = clock_ns(CLOCK_MONOTONIC);
  if (logged == log_room) log_ = need(realloc(log_, sizeof *log_ * (log_room = 2 * log_room + 1024)));
  log_[logged++] = conn->now;
  conn->now = NULL;
}

static void drop(Conn *conn) {
  if (conn->now) end(conn, true);
  close(conn->fd);
  free(conn->input);
  free(conn);
}

// Answer the requests that are there as a whole, one at a time; false where the connection is over.
static bool serve(Conn *conn, int64_t arrival) {
  while (!conn->now && conn->have) {
    conn->input[conn->have] = 0;
    char *head = conn->input, *body = strstr(head, "\r\n\r\n");
    if (!body) return true;
    body += 4;
    int length = 0;
    const char *size = header(head, "Content-Length:", &length);
    size_t whole = (size_t)(body - head) + (size ? strtoul(size, NULL, 10) : 0);
    if (conn->have < whole) return true;
    char after = head[whole];
    head[whole] = 0;
    bool chat = starts(head, "POST /v1/chat/completions "), good;
    if (chat || starts(head, "POST /v1/completions ")) good = begin(conn, chat, head, body, arrival);
    else if (starts(head, "GET /v1/models ")) good = answer(conn, OK, MODELS, sizeof MODELS - 1);
    else if (starts(head, "GET /truth ")) good = tell_truth(conn);
    else if (starts(head, "DELETE /truth ")) good = forget(conn);
    else good = answer(conn, "404 Not Found", NOT_FOUND, sizeof NOT_FOUND - 1);
    if (!good) return false;
    head[whole] = after;
    conn->have -= whole;
    memmove(head, head + whole, conn->have);
  }
  return true;
}

static bool receive(Conn *conn) {
  if (conn->room - conn->have < 65536) {
    if (conn->room > MAX_INPUT) return false;
    conn->input = need(realloc(conn->input, (conn->room = 2 * conn->room + 65536) + 1));
  }
  char control[CMSG_SPACE(sizeof(struct timespec))];
  struct iovec into = {conn->input + conn->have, conn->room - conn->have};
  struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(conn->fd, &message, 0);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  int64_t now = clock_ns(CLOCK_MONOTONIC), age = 0;
  struct cmsghdr *stamp = CMSG_FIRSTHDR(&message);
  if (stamp && stamp->cmsg_level == SOL_SOCKET && stamp->cmsg_type == SCM_TIMESTAMPNS) {
    struct timespec at;
    memcpy(&at, CMSG_DATA(stamp), sizeof at);
    age = clock_ns(CLOCK_REALTIME) - (at.tv_sec * SECOND + at.tv_nsec);
    if (age < 0 || age > 60 * SECOND) age = 0;  // the wall clock was stepped in between
  }
  conn->have += (size_t)got;
  return serve(conn, now - age);
}

// Send the token that is due; false where the connection is over.
static bool speak(Conn *conn) {
  Truth *truth = conn->now;
  bool last = truth->sent == conn->total - 1;
  char both[EVENT_SIZE + LAST_SIZE], *data = conn->event;
  int size = conn->event_size;
  memcpy(conn->event + conn->word, WORDS + 4 * (truth->sent * 7 % 16), 4);
  if (last) {
    memcpy(both, data, (size_t)size);
    memcpy(both + size, conn->last, (size_t)conn->last_size);
    data = both, size += conn->last_size;
  }
  int64_t now = clock_ns(CLOCK_MONOTONIC);
  if (!truth->tokens[truth->sent]) truth->tokens[truth->sent] = now;
  ssize_t sent = send(conn->fd, data + conn->part, (size_t)(size - conn->part), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return false;
  if (sent > 0) conn->part += (int)sent;
  if (conn->part < size) {  // a slow reader: the token was offered at its time
    schedule(conn, now + AGAIN);
    return true;
  }
  conn->part = 0;
  truth->sent++;
  if (!last) {
    schedule(conn, truth->arrival + ttft + truth->sent * itl);
    return true;
  }
  end(conn, false);
  return serve(conn, clock_ns(CLOCK_MONOTONIC));
}

static void watch(int fd, void *as) {
  struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = as};
  check(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), "epoll_ctl");
}

static void accept_from(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  Conn *conn = need(calloc(1, sizeof *conn));
  conn->fd = fd;
  watch(fd, conn);
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in at = {AF_INET, htons((uint16_t)port), {htonl(INADDR_LOOPBACK)}, {0}};
  socklen_t size = sizeof at;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);  // accepted sockets inherit it
  check(!bind(fd, (struct sockaddr *)&at, size) && !listen(fd, 4096) && !getsockname(fd, (struct sockaddr *)&at, &size),
        "listen");
  printf("listening on http://127.0.0.1:%d\n", ntohs(at.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 4) return fputs("usage: known_server PORT TTFT_US ITL_US\n", stderr), 2;
  ttft = atoll(argv[2]) * 1000, itl = atoll(argv[3]) * 1000;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max < MAX_FDS ? files.rlim_max : MAX_FDS;  // the heap has room for so many
  check(!setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
  prctl(PR_SET_TIMERSLACK, 1UL);  // else a wait may end 50 us late
  epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(atoi(argv[1]));
  watch(listener, NULL);
  for (struct epoll_event found[EVENTS];;) {
    int64_t left = heaped ? heap[1]->due - clock_ns(CLOCK_MONOTONIC) : SECOND;
    struct timespec wait = {left > 0 ? left / SECOND : 0, left > 0 ? left % SECOND : 0};
    int ready = epoll_pwait2(epoll, found, EVENTS, &wait, NULL);
    check(ready >= 0 || errno == EINTR, "epoll_pwait2");
    for (int i = 0; i < ready; i++) {
      Conn *conn = found[i].data.ptr;
      if (!conn) accept_from(listener);
      else if (!receive(conn)) drop(conn);
    }
    for (int i = 0; i < SENDS && heaped && heap[1]->due <= clock_ns(CLOCK_MONOTONIC); i++) {
      Conn *conn = heap[1];
      if (!speak(conn)) drop(conn);
    }
  }
}
