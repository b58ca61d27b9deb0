/* What tape.py and reader.py do, without the interpreter: waiting, reading, stamping, and events that look alike.
 *
 * Plain C11 for Linux, called through ctypes. One thread at a time. Structs are laid out as native.py says; whoever
 * calls owns them, and frees what a tape holds with tape_free. Times are CLOCK_MONOTONIC in ns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h> /* what the C library calls for us can be cancelled by another thread, and pays for that */
#include <time.h>
#include <unistd.h>

#define VERSION 6
#define MISSING INT64_MIN
#define SECOND 1000000000LL
#define READ_BYTES 65536
#define BULK (READ_BYTES / 2) /* a read this large may have left something behind */
#define TOLERANCE 10000       /* clocks agree within this */
#define OFFSET_SLACK 2000
#define LOOK 1000000
#define STALL 5000000
#define IDLE 500000 /* after a wait so long there is time for the caller, who is slow where it has not run for long */
#define PACE 5000000  /* over which the pace of reads is told */
#define REST 300000   /* the kernel stamps: where REST_READS come in it, reads are taken that late, more a wait */
#define REST_READS 8
#define BATCH 64
#define NOTES 64
#define SEALED_MOST 32 /* reads that wait to be opened: the newest is known only after all of them */
#define EVENT_MOST (16 << 20)
#define APPLICATION_DATA 23
#define CUTS 16
#define FRAME 8 /* "data: " and the blank line, which are not of an event's size */

enum { READY, WRITABLE, READ, ENDED, LOST };
enum { LATE, LONG };
enum { WHOLE, TOLD, NUMBER, MOMENT, TEXT, KINDS }; /* as tape.py has them */

struct row { /* of a read */
  int64_t end, time, lag, looked, asked, woke;
};

struct tape {
  int64_t reads, taken; /* taken: handed on whole */
  int64_t floor, heard, last; /* of the newest read: its time, when it was over, its bytes */
  int64_t dropped, watchful, bulk;
  int64_t base, cursor, size, room; /* cursor: the first byte that was not handed on, from the reply's begin, as base */
  int64_t rows_room;
  int64_t opened; /* reads of a TLS connection whose bytes are plain; those after them are as they came */
  char *bytes;
  struct row *rows;
  struct records *records; /* the caller's; NULL: what comes is plain */
};

/* Where records of a TLS connection begin (RFC 8446, 5.1), and how long those are that need no look. */
struct records {
  int64_t had, left; /* of the one that has begun: bytes of its header that came, bytes that are still to come */
  int64_t odd;       /* whether it is of another length or type */
  int64_t least, most;
  int64_t alone; /* length of the record that the newest bytes are, whole and alone; 0 if they are not */
  unsigned char head[8];
};

struct event {
  int32_t fd, what, mask, error;
};

struct note {
  int64_t kind, began, length;
};

struct reader {
  int64_t epoll, fds, events_n, notes_n;
  int64_t offset, looked, next, asked, woke, ready; /* next: `looked` of the turn to come; ready: what the last found */
  int64_t busy, steps, tell_above;
  int64_t may_rest, stamped, paced, reads, rests; /* stamped: the last read was; paced: since then, so many reads */
  int64_t slow, skew; /* faults, for tests: spent after each read; added to the wall clock */
  struct tape **tapes; /* by descriptor, `fds` of them, the caller's; NULL: it is not read here */
  struct event events[2 * BATCH];
  struct note notes[NOTES];
  char scratch[READ_BYTES];
};

int64_t core_version(void) { return VERSION; }
int64_t core_sizes(int32_t of) {
  const int64_t sizes[] = {sizeof(struct tape), sizeof(struct reader), sizeof(struct row), sizeof(struct records)};
  return sizes[of];
}

static int64_t clock_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t now_ns(void) { return clock_of(CLOCK_MONOTONIC); }

/* Wall clock less monotonic clock, of a few pairs of readings the one that was least interrupted. */
static int64_t clock_offset(void) {
  int64_t best = 0, width = INT64_MAX;
  for (int i = 0; i < 5; i++) {
    int64_t before = now_ns(), real = clock_of(CLOCK_REALTIME), after = now_ns();
    if (after - before < width) best = real - (before + after) / 2, width = after - before;
  }
  return best;
}

/* --- tape --- */

void tape_free(struct tape *t) {
  free(t->bytes);
  free(t->rows);
  t->bytes = NULL, t->rows = NULL;
  t->room = t->rows_room = t->size = t->reads = t->taken = t->opened = 0;
}

static int grow(void **at, int64_t *room, int64_t wanted, int64_t each, int64_t least) {
  if (wanted <= *room) return 0;
  int64_t more = *room * 2 > wanted ? *room * 2 : wanted;
  if (more < least) more = least;
  void *moved = realloc(*at, (size_t)(more * each));
  if (!moved) return -1;
  *at = moved, *room = more;
  return 0;
}

/* The row of the next read, of n bytes: what follows a large one may have come as early as it. */
static void lay(struct tape *t, struct row row, int64_t n) {
  struct row *at = t->rows + t->reads++;
  if (t->bulk) row.looked = at[-1].looked, row.asked = at[-1].asked, row.woke = at[-1].woke;
  t->bulk = n >= BULK;
  t->last = n;
  *at = row;
}

/* Store a read with its stamp on the wall clock (0: none) and the clocks of its turn; -1 without memory. */
int32_t tape_append(struct tape *t, const char *data, int64_t n, int64_t stamp, int64_t mono, int64_t offset,
                    int64_t looked, int64_t asked, int64_t woke) {
  int64_t used = t->cursor - t->base;
  if (used && (used == t->size || used + used > t->room)) { /* what was handed on makes room */
    memmove(t->bytes, t->bytes + used, (size_t)(t->size - used));
    t->base += used, t->size -= used;
  }
  if (grow((void **)&t->bytes, &t->room, t->size + n, 1, 2048)) return -1;
  if (grow((void **)&t->rows, &t->rows_room, t->reads + 1, sizeof(struct row), 32)) return -1;
  if (n) memcpy(t->bytes + t->size, data, (size_t)n);
  t->size += n;
  int64_t time = mono, lag = MISSING, came = stamp - offset;
  if (stamp) { /* nothing came before the read ahead of it, nor after it was read */
    if (came >= t->floor - TOLERANCE && came <= mono + TOLERANCE)
      time = came < mono ? came : mono, lag = mono - time;
    else
      t->dropped++;
  }
  t->floor = time, t->heard = mono;
  struct row row = {t->base + t->size, time, lag, looked, asked, woke};
  if (t->records)
    t->rows[t->reads++] = row;
  else
    lay(t, row, n);
  return 0;
}

/* Put plain bytes in the place of the reads that were not opened, by the number that each of them completed: of one
 * that completed none nothing stays. -1 without memory. */
int32_t tape_open(struct tape *t, const char *plain, const int64_t *sizes) {
  int64_t reads = t->reads, first = t->opened, n = 0;
  for (int64_t i = first; i < reads; i++) n += sizes[i - first];
  t->size = (first ? t->rows[first - 1].end : 0) - t->base;
  if (grow((void **)&t->bytes, &t->room, t->size + n, 1, 2048)) return -1;
  memcpy(t->bytes + t->size, plain, (size_t)n);
  t->reads = first;
  for (int64_t i = first; i < reads; i++) {
    if (!sizes[i - first]) continue;
    struct row row = t->rows[i];
    row.end = t->base + (t->size += sizes[i - first]);
    lay(t, row, sizes[i - first]);
  }
  if (t->reads) t->floor = t->rows[t->reads - 1].time;
  t->opened = t->reads;
  return 0;
}

static void skip_to(struct tape *t, int64_t cursor) {
  t->cursor = cursor;
  while (t->taken < t->reads && t->rows[t->taken].end <= cursor) t->taken++;
}

/* Hand on the bytes up to the end of a read: they were copied. */
void tape_take(struct tape *t, int64_t reads) {
  if (reads > t->taken) skip_to(t, t->rows[reads - 1].end);
}

static int hex(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int32_t unit(const char *p, const char *end) { /* four hex digits, -1 for none */
  int32_t found = end - p < 4 ? -1 : 0;
  for (int i = 0; i < 4 && found >= 0; i++) found = hex(p[i]) < 0 ? -1 : found * 16 + hex(p[i]);
  return found;
}

/* Bytes of the escape at p, 0 for none that JSON knows, or a half of a character. */
static int escape(const char *p, const char *end) {
  if (end - p < 2) return 0;
  if (p[1] != 'u') return memchr("\"\\/bfnrt", p[1], 8) ? 2 : 0;
  int32_t first = unit(p + 2, end);
  if (first < 0 || (first >= 0xDC00 && first < 0xE000)) return 0;
  if (first < 0xD800 || first >= 0xE000) return 6;
  if (end - p < 12 || p[6] != '\\' || p[7] != 'u') return 0;
  int32_t second = unit(p + 8, end);
  return second >= 0xDC00 && second < 0xE000 ? 12 : 0;
}

/* Bytes of the UTF-8 character at p that is not ASCII, 0 for none (Unicode 15, table 3-7). */
static int character(const unsigned char *p, const unsigned char *end) {
  int n = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
  if (!n || end - p < n) return 0;
  for (int i = 1; i < n; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F)) return 0;
  if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) return 0;
  return n;
}

/* The end of the longest inside of a JSON string at p. */
static const char *text(const char *p, const char *end) {
  for (int n = 1; n && p < end && *p != '"'; p += n) {
    unsigned char c = (unsigned char)*p;
    n = c < 0x20 ? 0 : c < 0x80 ? 1 : character((const unsigned char *)p, (const unsigned char *)end);
    if (c == '\\') n = escape(p, end);
  }
  return p;
}

static const char *digits(const char *p, const char *end, int most) {
  while (p < end && most-- && *p >= '0' && *p <= '9') p++;
  return p;
}

/* The end of what stands for such a kind at p, p if there is none. */
static const char *wild(const char *p, const char *end, int kind) {
  if (kind == TEXT) return text(p, end);
  const char *from = p, *at = p + (kind == NUMBER && p < end && *p == '-');
  while (kind == MOMENT && p < end && p - from < 40 && memchr("0123456789TZ:.+-", *p, 16)) p++;
  if (kind == MOMENT) return p;
  p = digits(at, end, kind == TOLD ? 9 : 10);
  if (p == at || (*at == '0' && p - at > 1)) return from;
  if (kind != NUMBER || p == end || *p != '.') return p;
  return (at = digits(p + 1, end, 20)) == p + 1 ? from : at;
}

/* What events look alike by: bytes, and among them such that are a kind of what differs (WHOLE and the others). */
struct form {
  const char *bytes;
  int64_t cuts, at[CUTS + 1]; /* where these stand; the last: where it ends */
};

struct hit {
  const char *from, *to; /* its text */
  int32_t told;
};

/* Whether the bytes up to `end` are of that form. */
static int is_of(const struct form *f, const char *p, const char *end, struct hit *hit) {
  for (int64_t cut = 0, i = 0;; i = f->at[cut++] + 1) {
    int64_t n = f->at[cut] - i;
    if (end - p < n || memcmp(p, f->bytes + i, (size_t)n)) return 0;
    if (cut == f->cuts) return p + n == end;
    const char *from = p + n, kind = f->bytes[f->at[cut]];
    if ((p = wild(from, end, kind)) == from) return 0;
    if (kind == TEXT) hit->from = from, hit->to = p;
    if (kind == TOLD)
      for (hit->told = 0; from < p; from++) hit->told = hit->told * 10 + (*from - '0');
  }
}

/* Events of a form with one text, each a whole chunk of its own, from the cursor on: at most `most`.
 *
 * Of each: the read that brought its end, the one that brought its begin, its size, the number that it tells. The texts
 * stand behind one another at found[0], found[1] bytes; found[2]: bytes that were taken. */
int64_t tape_scan(struct tape *t, const char *form, int64_t form_n, int64_t most, int32_t *ends, int32_t *begins,
                  int32_t *sizes, int32_t *told, int64_t *found) {
  int64_t n = 0, begun = t->cursor - t->base, texts = begun;
  const char *p = t->bytes + begun, *end = t->bytes + t->size;
  struct form f = {form, 0, {0}};
  struct hit hit = {p, p, 0};
  for (int64_t i = 0; i < form_n && f.cuts < CUTS; i++)
    if ((unsigned char)form[i] < KINDS) f.at[f.cuts++] = i;
  f.at[f.cuts] = form_n;
  while (n < most) {
    const char *hexes = p;
    int64_t size = 0;
    while (p < end && p - hexes < 8 && hex(*p) >= 0) size = size * 16 + hex(*p++);
    if (p == hexes || size > EVENT_MOST || end - p < size + 4) break;
    if (p[0] != '\r' || p[1] != '\n' || p[size + 2] != '\r' || p[size + 3] != '\n') break;
    const char *payload = p + 2;
    if (!is_of(&f, payload, payload + size, &hit)) break;
    int64_t first = t->base + (payload - t->bytes), last = t->base + (payload + size - t->bytes);
    while (t->rows[t->taken].end <= first) t->taken++;
    begins[n] = (int32_t)t->taken;
    while (t->rows[t->taken].end < last) t->taken++;
    ends[n] = (int32_t)t->taken;
    sizes[n++] = (int32_t)(size - FRAME);
    p = payload + size + 2;
    told[n - 1] = hit.told;
    memmove(t->bytes + texts, hit.from, (size_t)(hit.to - hit.from)); /* its place was handed on */
    texts += hit.to - hit.from;
    skip_to(t, t->base + (p - t->bytes));
  }
  found[0] = begun, found[1] = texts - begun, found[2] = t->cursor - t->base - begun;
  return n;
}

/* --- reader --- */

static void tell(struct reader *r, int32_t fd, int32_t what, int32_t mask, int32_t error) {
  r->events[r->events_n++] = (struct event){fd, what, mask, error};
}

static void note(struct reader *r, int64_t kind, int64_t began, int64_t length) {
  if (r->notes_n < NOTES) r->notes[r->notes_n++] = (struct note){kind, began, length};
}

/* The kernel's receive time that a message carries, 0 for none. */
static int64_t stamp_of(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      return t.tv_sec * SECOND + t.tv_nsec;
    }
  return 0;
}

/* Go over bytes of a TLS connection: whether they hold something of a record that is to be looked at. */
int32_t records_walk(struct records *s, const unsigned char *p, int64_t n) {
  int64_t odd = 0, begun = 0, inside = s->had || s->left, length = 0;
  while (n) {
    if (s->left) {
      int64_t step = n < s->left ? n : s->left;
      p += step, n -= step, s->left -= step, odd |= s->odd;
      continue;
    }
    s->head[s->had++] = *p++, n--;
    if (s->had < 5) continue;
    length = s->left = s->head[3] << 8 | s->head[4];
    s->had = 0, begun++, s->odd = s->head[0] != APPLICATION_DATA || length < s->least || length > s->most;
    odd |= s->odd;
  }
  s->alone = begun == 1 && !inside && !s->had && !s->left ? length : 0;
  return odd != 0;
}

static void read_one(struct reader *r, int32_t fd, struct tape *t) {
  union {
    char room[CMSG_SPACE(sizeof(struct timespec))];
    struct cmsghdr align;
  } control;
  struct iovec into = {r->scratch, READ_BYTES};
  struct msghdr m = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = syscall(SYS_recvmsg, fd, &m, 0);
  if (n <= 0) {
    if (!n || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) tell(r, fd, n ? LOST : ENDED, 0, n ? errno : 0);
    return;
  }
  int64_t mono = now_ns(), stamp = stamp_of(&m);
  r->reads++, r->stamped = stamp != 0;
  if (tape_append(t, r->scratch, n, stamp, mono, r->offset, r->looked, r->asked, r->woke)) {
    tell(r, fd, LOST, 0, ENOMEM);
    return;
  }
  /* A token is a few hundred bytes; the end of a reply, or anything odd, is looked at. */
  int odd = t->records ? records_walk(t->records, (unsigned char *)r->scratch, n)
                       : n <= 3 || !memcmp(r->scratch + n - 4, "\r\n\r\n", 4);
  if (t->records && (t->reads + fd) % SEALED_MOST == 0) odd = 1; /* not of all streams that go in step at once */
  if (odd || n >= BULK || t->watchful) tell(r, fd, READ, 0, 0);
  if (r->slow)
    while (now_ns() - mono < r->slow) continue;
}

/* Wait up to a time (ms) and read all that is ready, with the clocks of that turn. */
static void look_once(struct reader *r, int64_t until, int32_t wait) {
  struct epoll_event ready[BATCH];
  int64_t asked = now_ns(), left = until > asked ? (until - asked + 999999) / 1000000 : 0;
  int n = (int)syscall(SYS_epoll_pwait, (int)r->epoll, ready, BATCH, wait ? (int)left : 0, NULL, 0);
  int64_t woke = now_ns(), late = woke - (wait && until > asked ? until : asked);
  if (late > STALL) note(r, LATE, woke - late, late);
  int64_t apart = clock_of(CLOCK_REALTIME) + r->skew - woke - r->offset;
  if (apart <= -OFFSET_SLACK || apart >= OFFSET_SLACK) {
    int64_t found = clock_offset() + r->skew;
    if (found - r->offset > OFFSET_SLACK || r->offset - found > OFFSET_SLACK) r->offset = found, r->steps++;
  }
  r->looked = r->next, r->asked = asked, r->woke = woke, r->ready = n < 0 ? 0 : n;
  for (int i = 0; i < n; i++) {
    int32_t fd = ready[i].data.fd, mask = (int32_t)ready[i].events;
    struct tape *t = fd < r->fds ? r->tapes[fd] : NULL;
    if (!t) {
      tell(r, fd, READY, mask, 0);
      continue;
    }
    if (mask & EPOLLOUT) tell(r, fd, WRITABLE, mask, 0);
    if (mask & ~EPOLLOUT) read_one(r, fd, t);
  }
  /* What was not told was not there: what the next wait tells came later than this one. */
  if (r->ready < BATCH) r->next = woke - asked > LOOK ? woke - LOOK : asked;
}

/* After a wait: leave the core until so much time has passed since, where that spares waits and costs no accuracy. */
static void rest(struct reader *r, int64_t now, int64_t until) {
  if (r->woke - r->paced > PACE) {
    r->rests = r->reads * REST > REST_READS * (r->woke - r->paced);
    r->paced = r->woke, r->reads = 0;
  }
  int64_t to = r->woke + REST < until ? r->woke + REST : until;
  if (!r->rests || !r->stamped || !r->may_rest || to - now < REST / 4) return;
  struct timespec t = {to / SECOND, to % SECOND};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
  int64_t late = now_ns() - to;
  if (late > STALL) note(r, LATE, to, late);
}

/* Read until a time, until something is for the caller to do or little is to be read; without `wait`, until nothing is.
 *
 * Returns the number of events; notes tell of waits that came back late and of turns longer than `tell_above`. The time
 * since the last `woke` is for the caller to count as busy. */
int64_t reader_turn(struct reader *r, int64_t until, int32_t wait) {
  r->events_n = r->notes_n = 0;
  for (;;) {
    look_once(r, until, wait);
    int64_t now = now_ns();
    int idle = wait ? r->woke - r->asked > IDLE : !r->ready;
    if (r->events_n || r->notes_n || now >= until || idle) return r->events_n;
    int64_t length = now - r->woke;
    r->busy += length;
    if (length > r->tell_above) {
      note(r, LONG, r->woke, length);
      r->woke = now;
      return 0;
    }
    if (wait) rest(r, now, until);
  }
}
