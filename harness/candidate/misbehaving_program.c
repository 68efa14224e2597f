/* A candidate program for the tests of ProcessCandidate. It refuses every call politely, except
 * that the demanded variant of a call names what it does wrong instead. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_all(void* target, size_t size) {
  char* at = target;
  while (size > 0) {
    const ssize_t got = read(0, at, size);
    if (got <= 0) exit(0);
    at += got;
    size -= (size_t)got;
  }
}

static void write_all(const void* source, size_t size) {
  const char* at = source;
  while (size > 0) {
    const ssize_t put = write(1, at, size);
    if (put <= 0) exit(0);
    at += put;
    size -= (size_t)put;
  }
}

static void send(const char* header, uint64_t payload_bytes) {
  const uint64_t lengths[2] = {strlen(header), payload_bytes};
  write_all("PKPROOF1", 8);
  write_all(lengths, sizeof lengths);
  write_all(header, strlen(header));
}

static void refuse(unsigned long id) {
  char header[256];
  snprintf(header, sizeof header,
           "{\"type\": \"result\", \"id\": %lu, \"status\": \"not_supported\", "
           "\"message\": \"this program refuses everything\"}",
           id);
  send(header, 0);
}

static void skip_payload(uint64_t bytes) {
  static char block[1 << 16];
  while (bytes > 0) {
    const size_t part = bytes < sizeof block ? (size_t)bytes : sizeof block;
    read_all(block, part);
    bytes -= part;
  }
}

static void answer(const char* header, uint64_t payload_bytes) {
  const char* found = strstr(header, "\"id\":");
  const unsigned long id = found ? strtoul(found + 5, NULL, 10) : 0;
  char variant[64] = "";
  found = strstr(header, "\"variant\":\"");
  if (found) sscanf(found + 11, "%63[^\"]", variant);

  if (!strcmp(variant, "answers_early")) refuse(id);
  skip_payload(payload_bytes);
  if (!strcmp(variant, "answers_early")) return;
  if (!strcmp(variant, "hangs")) {
    for (;;) pause();
  }
  if (!strcmp(variant, "hangs_in_child")) {
    if (fork() == 0) {
      for (;;) pause();
    }
    exit(0);
  }
  if (!strcmp(variant, "killed")) raise(SIGKILL);
  if (!strcmp(variant, "crashes")) {
    fprintf(stderr, "first line\nabout to crash\n");
    raise(SIGSEGV);
  }
  if (!strcmp(variant, "exits")) exit(3);
  if (!strcmp(variant, "exits_in_frame")) {
    write_all("PKPROOF1\x40\0\0\0\0\0\0\0", 16);
    exit(0);
  }
  if (!strcmp(variant, "closes_output")) {
    close(1);
    for (;;) pause();
  }
  if (!strcmp(variant, "garbage")) {
    write_all("hi\n", 3);
    for (;;) pause();
  }
  if (!strcmp(variant, "bad_json")) {
    send("{\"type\": \"result\", ", 0);
  } else if (!strcmp(variant, "huge_claim")) {
    send("", UINT64_MAX);
  } else if (!strcmp(variant, "no_outputs")) {
    char header_text[128];
    snprintf(header_text, sizeof header_text,
             "{\"type\": \"result\", \"id\": %lu, \"status\": \"ok\", \"outputs\": {}}", id);
    send(header_text, 0);
  } else if (!strcmp(variant, "wrong_id")) {
    refuse(id + 1000);
  } else if (!strcmp(variant, "answers_twice")) {
    refuse(id);
    refuse(id);
  } else if (!strcmp(variant, "floods_stderr")) {
    for (int i = 0; i < 100000; ++i) fprintf(stderr, "line %d of many, many lines\n", i);
    refuse(id);
  } else if (!strcmp(variant, "loses_device")) {
    send("{\"type\": \"result\", \"id\": 1, \"status\": \"device_error\", \"message\": \"lost\"}",
         0);
  } else {
    refuse(id);
  }
}

int main(int argc, char** argv) {
  if (argc > 1 && !strcmp(argv[1], "--refuse-to-start")) {
    fprintf(stderr, "this library is not one\n");
    return 2;
  }
  if (argc > 1 && !strcmp(argv[1], "--never-hello")) {
    for (;;) pause();
  }
  for (;;) {
    char prologue[24];
    uint64_t lengths[2];
    read_all(prologue, sizeof prologue);
    memcpy(lengths, prologue + 8, sizeof lengths);
    char* header = calloc(1, lengths[0] + 1);
    if (!header) return 1;
    read_all(header, lengths[0]);
    if (strstr(header, "\"type\":\"bye\"")) return 0;
    if (strstr(header, "\"type\":\"hello\"")) {
      send(
          "{\"type\": \"hello\", \"protocol\": 1, \"name\": \"misbehaving\", \"capabilities\": "
          "[{\"op\": \"l2norm\", \"direction\": \"fwd\", \"dtypes\": [\"f32\"]}]}",
          0);
    } else {
      answer(header, lengths[1]);
    }
    free(header);
  }
}
