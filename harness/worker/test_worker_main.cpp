// The worker alone, without the command line of packproof, for the tests of this folder.
#include "harness/worker/worker.h"

#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return packproof::run_worker({argv[1]}, STDIN_FILENO, STDOUT_FILENO);
}
