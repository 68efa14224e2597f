#pragma once

namespace packproof::simt {

/// The last component of a path, as diagnoses show files.
const char* base_name(const char* path);

}  // namespace packproof::simt
