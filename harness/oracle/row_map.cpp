#include "harness/oracle/row_map.h"

namespace packproof {

std::string_view name_of(Region region) {
  switch (region) {
    case Region::kHead:
      return "head";
    case Region::kChunkEdge:
      return "chunk edge";
    case Region::kTail:
      return "tail";
    case Region::kInterior:
      return "interior";
    case Region::kFinalState:
      return "final state";
    case Region::kZeroRow:
      return "zero row";
    case Region::kShared:
      return "shared";
  }
  return "shared";
}

Region region_of_token(int64_t token, int64_t length, int64_t conv_width, int64_t chunk_size) {
  if (token < conv_width - 1) return Region::kHead;
  if (token == length - 1) return Region::kTail;
  const int64_t in_chunk = token % chunk_size;
  if (in_chunk <= 1 || in_chunk == chunk_size - 1) return Region::kChunkEdge;
  return Region::kInterior;
}

std::string place_text(const Row& row) {
  if (row.kind == RowKind::kSlack) return "slack row";
  if (row.kind == RowKind::kPad) return "padding row";
  if (row.sequence < 0) return row.kind == RowKind::kUntouched ? "unindexed slot" : "shared value";
  const std::string sequence = "sequence " + std::to_string(row.sequence);
  if (row.token < 0) return sequence + ", final state";
  return sequence + ", token " + std::to_string(row.token);
}

}  // namespace packproof
