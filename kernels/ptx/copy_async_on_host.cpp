#include "kernels/ptx/copy_async_on_host.h"

#include "kernels/simt/collective.h"
#include "kernels/simt/copy_queue.h"
#include "kernels/simt/diagnosis.h"

namespace packproof::simt {

void copy_async(void* shared, const void* global, int bytes, int source_bytes, Site site) {
  const auto size = static_cast<std::size_t>(bytes);
  check_shared_operand("copy_async", site, shared, size, size);
  if (reinterpret_cast<std::uintptr_t>(global) % size != 0) {
    fail(*running_thread, "calls copy_async (%s:%d) with a source that is not aligned to %d bytes",
         base_name(site.file), site.line, bytes);
  }
  if (source_bytes < 0 || source_bytes > bytes) {
    fail(*running_thread, "calls copy_async (%s:%d) with %d source bytes; expected 0 to %d",
         base_name(site.file), site.line, source_bytes, bytes);
  }
  running_copies().start({shared, global, bytes, source_bytes, __builtin_return_address(0)});
}

void copy_async_commit() { running_copies().commit(); }

void copy_async_wait(int pending) { running_copies().wait(pending); }

}  // namespace packproof::simt
