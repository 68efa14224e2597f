#include "harness/worker/kernel_library.h"

#include "harness/core/sha256.h"

#include <gtest/gtest.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace packproof {
namespace {

std::string path_of(const std::string& name) {
  return PACKPROOF_BINARY_DIR "/bin/packproof_" + name + ".so";
}

KernelLibrary loaded(const std::string& name) {
  Result<KernelLibrary> library = KernelLibrary::load(path_of(name));
  EXPECT_TRUE(library.ok()) << (library.ok() ? "" : library.error().message);
  return *library;
}

std::string refusal_of(const std::string& name) {
  const Result<KernelLibrary> library = KernelLibrary::load(path_of(name));
  if (library.ok()) return "accepted";
  EXPECT_EQ(library.error().code, Code::kInvalidInput);
  const std::string prefix = "the kernel library '" + path_of(name) + "': ";
  EXPECT_EQ(library.error().message.substr(0, prefix.size()), prefix);
  return library.error().message.substr(prefix.size());
}

/// Arguments that the vendor example takes.
packproof_causal_conv1d_fwd_args conv_args() {
  packproof_causal_conv1d_fwd_args args{};
  args.x.dtype = PACKPROOF_F32;
  args.x.shape[2] = args.x.stride[1] = 4;
  args.x.stride[2] = 1;
  return args;
}

TEST(KernelLibrary, SaysWhoItIs) {
  const CandidateInfo info = loaded("vendor_example").info();
  EXPECT_EQ(info.name, "vendor_example");
  EXPECT_EQ(info.version, "1.0");
  EXPECT_EQ(info.device, "host");
  EXPECT_EQ(info.identity, *sha256_of_file(path_of("vendor_example")));
  EXPECT_FALSE(info.bitwise_pack_invariant);
  EXPECT_TRUE(info.memory_checked);
  EXPECT_TRUE(info.notes.empty());
  ASSERT_EQ(info.capabilities.size(), 1U);
  EXPECT_EQ(info.capabilities[0].op, Op::kCausalConv1d);
  EXPECT_EQ(info.capabilities[0].variants, std::vector<std::string>{"vendor"});
}

TEST(KernelLibrary, SelectsTheFirstRowThatTakesTheCall) {
  const KernelLibrary library = loaded("misbehaving");
  packproof_causal_conv1d_fwd_args args = conv_args();
  const auto select = [&](Op op, std::string_view variant) {
    return library.select(op, Direction::kForward, variant, &args, 0);
  };
  ASSERT_NE(select(Op::kCausalConv1d, "").kernel, nullptr);
  EXPECT_STREQ(select(Op::kCausalConv1d, "").kernel->variant, "behaves");
  EXPECT_STREQ(select(Op::kCausalConv1d, "exits").kernel->variant, "exits");
  EXPECT_EQ(select(Op::kRope, "").refusal, "the library has no kernel for rope fwd");
  EXPECT_EQ(select(Op::kCausalConv1d, "sm90").refusal.substr(0, 70),
            "the library has no variant 'sm90' of causal_conv1d fwd, it has behaves");
  args.x.dtype = PACKPROOF_BF16;
  EXPECT_EQ(select(Op::kCausalConv1d, "exits").refusal, "exits: only f32 is supported");
}

TEST(KernelLibrary, SaysWhetherItKnowsPoolsOfStates) {
  const KernelLibrary plain = loaded("plain");
  EXPECT_TRUE(plain.has_state_pools());
  const CandidateInfo info = plain.info();
  const auto takes_pools = [&](Op op, Direction direction) {
    return info.find(op, direction)->limits.state_pool;
  };
  EXPECT_TRUE(takes_pools(Op::kChunkGatedDeltaRule, Direction::kForward));
  EXPECT_FALSE(takes_pools(Op::kChunkGatedDeltaRule, Direction::kBackward));
  EXPECT_FALSE(takes_pools(Op::kCausalConv1d, Direction::kForward));
  EXPECT_FALSE(loaded("vendor_example").has_state_pools());
}

TEST(KernelLibrary, RefusesMalformedTables) {
  EXPECT_EQ(refusal_of("no_symbol"),
            "expected the exported symbol packproof_kernel_library, found none");
  EXPECT_EQ(refusal_of("null_table"),
            "expected packproof_kernel_library() to return a table, found null");
  EXPECT_EQ(refusal_of("wrong_version"), "expected abi_version 1, found 999");
  EXPECT_EQ(refusal_of("null_launch"),
            "kernel row 0: unsupported_reason: expected a function, found null");
}

TEST(KernelLibrary, RefusesFilesThatAreNoLibraries) {
  const Result<KernelLibrary> missing = KernelLibrary::load("/no/such/library.so");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kUsage);
  EXPECT_EQ(missing.error().message,
            "the file '/no/such/library.so' could not be read: No such file or directory");
  const Result<KernelLibrary> text =
      KernelLibrary::load(PACKPROOF_SOURCE_DIR "/harness/worker/kernel_library.h");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, Code::kUsage);
  EXPECT_NE(text.error().message.find("could not be loaded"), std::string::npos);
}

#if defined(__SSE__)
TEST(KernelLibrary, PutsTheFloatingPointModeBack) {
  const unsigned before = _mm_getcsr();
  const KernelLibrary library = loaded("flushes_denormals");
  EXPECT_EQ(_mm_getcsr() & 0x8040U, before & 0x8040U);
  EXPECT_TRUE(library.changed_float_mode());
  EXPECT_EQ(library.info().notes.size(), 1U);
  EXPECT_FALSE(loaded("vendor_example").changed_float_mode());
}
#endif

}  // namespace
}  // namespace packproof
