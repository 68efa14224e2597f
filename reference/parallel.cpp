#include "reference/parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace packproof::reference {

int default_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

void run_parallel(int64_t count, int threads, const std::function<void(int64_t)>& task) {
  if (threads == 0) threads = default_threads();
  threads = static_cast<int>(std::min<int64_t>(threads, count));
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) task(i);
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace packproof::reference
