#include "reference/regular_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace packproof::reference {
namespace {

std::string kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  return "a device or socket";
}

}  // namespace

Result<std::shared_ptr<const RegularFile>> RegularFile::open(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe would wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return usage_error(path.string() +
                       ": expected a readable file, found: " + std::strerror(errno));
  }

  struct stat status {};

  ::fstat(descriptor, &status);
  auto file = std::make_shared<const RegularFile>(descriptor, static_cast<uint64_t>(status.st_size),
                                                  path.string());
  if (!S_ISREG(status.st_mode)) {
    return usage_error(path.string() + ": expected a regular file, found " +
                       kind_of(status.st_mode));
  }
  return std::shared_ptr<const RegularFile>(std::move(file));
}

RegularFile::~RegularFile() { ::close(descriptor_); }

Status RegularFile::read(uint64_t offset, std::span<std::byte> target) const {
  while (!target.empty()) {
    const ssize_t count =
        ::pread(descriptor_, target.data(), target.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return infrastructure_error(name_ + ": expected to read byte " + std::to_string(offset) +
                                  ", found: " + std::strerror(errno));
    }
    if (count == 0) {
      return invalid_input(name_ + ": expected " + std::to_string(target.size()) +
                           " more bytes from byte " + std::to_string(offset) +
                           ", found the end of the file");
    }
    offset += static_cast<uint64_t>(count);
    target = target.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> RegularFile::read_text(uint64_t offset, uint64_t length) const {
  std::string text(length, '\0');
  PACKPROOF_CHECK_OK(read(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

Result<std::string> read_text_file(const std::filesystem::path& path, uint64_t limit) {
  PACKPROOF_TRY(const std::shared_ptr<const RegularFile> file, RegularFile::open(path));
  if (file->size() > limit) {
    return invalid_input(file->name() + ": expected at most " + std::to_string(limit) +
                         " bytes, found " + std::to_string(file->size()));
  }
  return file->read_text(0, file->size());
}

}  // namespace packproof::reference
