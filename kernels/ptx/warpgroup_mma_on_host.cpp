#include "kernels/ptx/warpgroup_mma_on_host.h"

#include "kernels/ptx/tile_product_on_host.h"
#include "kernels/simt/collective.h"
#include "kernels/simt/diagnosis.h"
#include "kernels/simt/product_queue.h"
#include "kernels/simt/sanitizer.h"

#include <cstring>

namespace packproof::simt {
namespace {

constexpr int kDepth = 16;
constexpr int kSide = 8;  // Rows and elements a row of a core matrix.
constexpr int kRowBytes = 16;

/// The next `count` products of a warp's lanes.
struct ProductsCall : WarpCall {
  const PendingProduct* products;
  int count;
};

const char* row_of_core(const WarpgroupProduct& product, int k, int n, int row) {
  return static_cast<const char*>(product.first) + k * product.k_step + n * product.n_step +
         row * kRowBytes;
}

void read_right_factor(const WarpgroupProduct& product, int n, TileProduct& tile) {
  const auto convert = product.bfloat16 ? float_of_bf16 : float_of_f16;
  for (int k = 0; k < kDepth / kSide; ++k) {
    for (int row = 0; row < kSide; ++row) {
      uint16_t elements[kSide];
      std::memcpy(elements, row_of_core(product, k, n, row), kRowBytes);
      for (int i = 0; i < kSide; ++i) {
        const int depth = kSide * k + (product.rows_along_n ? row : i);
        tile.b[depth][product.rows_along_n ? i : row] = convert(elements[i]);
      }
    }
  }
}

void read_left_factor(const WarpgroupProduct& product, const uint32_t* a, int lane,
                      TileProduct& tile) {
  const auto convert = product.bfloat16 ? float_of_bf16 : float_of_f16;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + 8 * (i % 2);
    const int depth = 2 * (lane % 4) + 8 * (i / 2);
    tile.a[row][depth] = convert(a[i] & 0xffff);
    tile.a[row][depth + 1] = convert(a[i] >> 16);
  }
}

void perform(const PendingProduct* const (&lanes)[kWarpSize], uint64_t seed) {
  const WarpgroupProduct& product = lanes[0]->product;
  TileProduct tile;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    read_left_factor(product, lanes[lane]->a, lane, tile);
  }
  for (int n = 0; n < product.num_columns / kSide; ++n) {
    read_right_factor(product, n, tile);
    const auto visit = [&](auto take) {
      for (int lane = 0; lane < kWarpSize; ++lane) {
        for (int i = 0; i < 4; ++i) {
          take(tile.d[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2], lanes[lane]->d[4 * n + i]);
        }
      }
    };
    visit([&](float& sum, const float& d) { sum = product.add ? d : 0.0f; });
    multiply(tile, kDepth, seed);
    visit([](const float& sum, float& d) { d = sum; });
  }
}

void evaluate_products(WarpCall* const (&lanes)[kWarpSize]) {
  check_full_warp(lanes);
  const auto call_of = [&](int lane) -> const ProductsCall& {
    return static_cast<const ProductsCall&>(*lanes[lane]);
  };
  const ProductsCall& first = call_of(0);
  for (int lane = 1; lane < kWarpSize; ++lane) {
    if (call_of(lane).count != first.count) {
      fail(*lanes[lane]->thread, "waits for %d products of warpgroup_mma where lane 0 waits for %d",
           call_of(lane).count, first.count);
    }
  }
  for (int i = 0; i < first.count; ++i) {
    const PendingProduct* products[kWarpSize];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      products[lane] = &call_of(lane).products[i];
      if (products[lane]->product != first.products[i].product) {
        fail(*lanes[lane]->thread,
             "calls warpgroup_mma (%s:%d) with another shared factor than lane 0",
             base_name(products[lane]->site.file), products[lane]->site.line);
      }
    }
    perform(products, first.thread->block->seed);
  }
}

void perform_next(const PendingProduct* products, int count) {
  if (count == 0) return;
  ProductsCall call;
  call.name = "warpgroup_mma_wait";
  call.site = products[0].site;
  call.mask = ~uint32_t{0};
  call.evaluate = evaluate_products;
  call.products = products;
  call.count = count;
  // The lanes share the reads of b among themselves for the race detector.
  const int lane = running_thread->lane();
  for (int i = 0; i < count; ++i) {
    const WarpgroupProduct& product = products[i].product;
    for (int core = lane / kSide; core < product.num_columns / kSide * 2;
         core += kWarpSize / kSide) {
      observe_read(row_of_core(product, core % 2, core / 2, lane % kSide), kRowBytes,
                   products[i].caller);
    }
  }
  rendezvous(call);
}

}  // namespace

void warpgroup_mma(const WarpgroupProduct& product, float* d, const uint32_t* a, Site site) {
  const int lane = running_thread->lane();
  for (int core = lane / kSide; core < product.num_columns / kSide * 2; core += kWarpSize / kSide) {
    check_shared_operand("warpgroup_mma", site,
                         row_of_core(product, core % 2, core / 2, lane % kSide), kRowBytes,
                         kRowBytes);
  }
  const PendingProduct pending{product, d, a, site, __builtin_return_address(0)};
  ProductQueue& queue = running_products();
  if (queue.at_once()) return perform_next(&pending, 1);
  if (!queue.start(pending)) {
    fail(*running_thread, "calls warpgroup_mma (%s:%d) with %d products under way already",
         base_name(site.file), site.line, ProductQueue::kCapacity);
  }
}

void warpgroup_mma_commit() { running_products().commit(); }

void warpgroup_mma_wait(int pending) {
  ProductQueue& queue = running_products();
  const PendingProduct* const next = queue.next();
  perform_next(next, queue.take(pending));
}

}  // namespace packproof::simt
