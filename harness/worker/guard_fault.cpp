#include "harness/worker/guard_fault.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include <signal.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <ucontext.h>
#endif

namespace packproof {

namespace {

constexpr int kSlots = 64;
constexpr std::size_t kNameSize = 64;
constexpr std::size_t kContextSize = 192;
constexpr std::size_t kAlternateStack = 64 * 1024;

struct Slot {
  std::atomic<bool> used{false};
  char name[kNameSize];
  GuardedRange range;
};

// The signal handler can reach nothing but globals, and may not allocate.
std::array<Slot, kSlots> slots;
char context[kContextSize];
alignas(16) std::array<std::byte, kAlternateStack> alternate_stack;

void copy_text(std::string_view text, char* target, std::size_t size) {
  const std::size_t count = std::min(text.size(), size - 1);
  std::memcpy(target, text.data(), count);
  target[count] = '\0';
}

/// A line assembled without allocation.
class Line {
 public:
  void add(const char* text) {
    while (*text != '\0' && length_ < sizeof text_ - 1) text_[length_++] = *text++;
  }

  void add_number(uint64_t value, unsigned base) {
    char digits[24];
    int count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0 && length_ < sizeof text_ - 1) text_[length_++] = digits[--count];
  }

  void print() {
    text_[length_++] = '\n';
    const ssize_t ignored = ::write(STDERR_FILENO, text_, length_);
    static_cast<void>(ignored);
  }

 private:
  char text_[512];
  std::size_t length_ = 0;
};

const char* access_of(const void* machine_context) {
#if defined(__x86_64__)
  // Bit 1 of the page fault's error code: set for a write.
  const auto* registers = static_cast<const ucontext_t*>(machine_context);
  return (registers->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? " wrote" : " read";
#else
  static_cast<void>(machine_context);
  return " touched memory";
#endif
}

void report_fault(int, siginfo_t* info, void* machine_context) {
  const auto* address = static_cast<const std::byte*>(info->si_addr);
  Line line;
  line.add(context[0] == '\0' ? "the worker" : context);
  line.add(access_of(machine_context));
  const auto hit = std::find_if(slots.begin(), slots.end(), [address](const Slot& slot) {
    return slot.used.load() && address >= slot.range.guard_begin && address < slot.range.guard_end;
  });
  if (hit == slots.end()) {
    line.add(" at address 0x");
    line.add_number(reinterpret_cast<uintptr_t>(address), 16);
    line.add(", outside every buffer of the call");
  } else {
    const bool past = address >= hit->range.end;
    line.add(past ? " past the end of '" : " before the start of '");
    line.add(hit->name);
    line.add(past ? "' (end + " : "' (start - ");
    line.add_number(
        static_cast<uint64_t>(past ? address - hit->range.end : hit->range.begin - address), 10);
    line.add(" bytes)");
  }
  line.print();
  // SA_RESETHAND has restored the default: returning repeats the access, and the process dies of
  // the signal itself.
}

}  // namespace

void install_fault_report() {
  stack_t stack{};
  stack.ss_sp = alternate_stack.data();
  stack.ss_size = alternate_stack.size();
  ::sigaltstack(&stack, nullptr);

  struct sigaction action {};

  action.sa_sigaction = report_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

void set_fault_context(std::string_view call) { copy_text(call, context, sizeof context); }

FaultRegistration::FaultRegistration(std::string_view name, const GuardedRange& range) : slot_(-1) {
  for (int i = 0; i < kSlots && slot_ < 0; ++i) {
    Slot& slot = slots[static_cast<std::size_t>(i)];
    if (slot.used.load()) continue;
    copy_text(name, slot.name, sizeof slot.name);
    slot.range = range;
    slot.used.store(true);
    slot_ = i;
  }
}

FaultRegistration::~FaultRegistration() {
  if (slot_ >= 0) slots[static_cast<std::size_t>(slot_)].used.store(false);
}

}  // namespace packproof
