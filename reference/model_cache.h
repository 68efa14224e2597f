#pragma once

#include "reference/decoder.h"
#include "reference/reference.h"

namespace packproof::reference {

/// The reference's own cache: keys and values of attention layers, states of delta-net layers.
class DecoderCache final : public ModelCache {
 public:
  explicit DecoderCache(int64_t rows) : rows_(rows) {}

  int64_t sequence_length() const override { return length_; }

  int64_t rows() const { return rows_; }

  const DecoderState& state() const { return state_; }

  /// Takes the state after `columns` more tokens.
  void advance(DecoderState state, int64_t columns) {
    state_ = std::move(state);
    length_ += columns;
  }

 private:
  int64_t rows_;
  int64_t length_ = 0;
  DecoderState state_;
};

}  // namespace packproof::reference
