#pragma once

#include "harness/core/case_spec.h"
#include "harness/core/op_call.h"
#include "harness/core/packing.h"
#include "harness/core/result.h"
#include "harness/oracle/row_map.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace packproof {

/// How the token rows of an op are laid out in its tensors.
enum class Geometry : uint8_t {
  kTokens,  ///< [B, T, ...]: packed or padded rows of tokens.
  kRows,    ///< [R, ...]: `rows_per_token` consecutive rows per token, no metadata.
  kSlots,   ///< [N, ...]: one token per sequence against a pool of states.
};

Geometry geometry_of(Op op);

/// A case's data in its canonical form: contiguous, packed, all metadata kinds derivable. Slack
/// rows of inputs hold NaN. Transformations of packings work on this form; `realise` turns it into
/// the call that a candidate receives.
struct PackedCall {
  CaseSpec spec;
  Packing packing;
  OpCall call;
  int64_t rows_per_token = 1;
};

/// A call as a candidate receives it, with the meaning of every output row.
struct Realised {
  OpCall call;
  std::map<std::string, RowMap> rows;  ///< By output name.
};

/// Builds the data of a valid case: the same case gives the same bits on any machine.
Result<PackedCall> build_case(const CaseSpec& spec);

/// The sequences `order` (repeats allowed) as a new pack with `slack` rows after it.
PackedCall select_sequences(const PackedCall& packed, const std::vector<int64_t>& order,
                            int64_t slack);

/// How a case's own layout fields ask for it.
Realised realise(const PackedCall& packed);

/// In another layout: dense right-padded with pad 0 is one sequence alone when N = 1.
Realised realise_as(const PackedCall& packed, BatchLayout layout, int64_t pad);

/// Ways to make the data of one sequence loud enough that any leak shows.
enum class Disturbance : uint8_t {
  kRedraw,  ///< Fresh values of the same distribution.
  kLoud,    ///< Signs flipped and scaled by 2^40 (2^8 for f16): squares stay finite.
  kNan,     ///< Every floating element of its tokens and states is NaN.
};

std::string_view name_of(Disturbance disturbance);

/// Changes the token rows, states and pool slot of sequence `n` and nothing else.
Result<PackedCall> disturb(const PackedCall& packed, int64_t n, Disturbance disturbance);

/// Fresh values of the same distribution for the tokens from `from[n]` on of every sequence n;
/// states and earlier tokens keep theirs.
Result<PackedCall> redraw_future(const PackedCall& packed, const std::vector<int64_t>& from);

/// Tokens [begin[n], end[n]) of every sequence; initial states are kept only where begin is 0.
PackedCall cut_sequences(const PackedCall& packed, const std::vector<int64_t>& begin,
                         const std::vector<int64_t>& end);

/// Pairs the owned rows of `a` with those of `b`: sequence n of `a` with `map[n]` of `b` (-1:
/// none), token t with token t - shift[n], for t < end[n]. Empty vectors shift nothing and end
/// nowhere. States are paired when `states` is set.
struct PairOptions {
  std::vector<int64_t> map;
  std::vector<int64_t> shift;
  std::vector<int64_t> end;
  bool states = true;
};

struct PairedRows {
  std::vector<int64_t> a;
  std::vector<int64_t> b;
};

PairedRows pair_rows(const RowMap& a, const RowMap& b, const PairOptions& options);

}  // namespace packproof
