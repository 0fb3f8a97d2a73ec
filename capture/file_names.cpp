#include <fmt/format.h>
#include <time.h>

#include <utility>
#include <vector>

#include <ixcap/capture/file_names.hpp>

namespace ixcap::capture {
namespace {

std::string local_time(const std::string& format, std::int64_t now_s) {
  tm local = {};
  const time_t time = now_s;
  localtime_r(&time, &local);
  std::vector<char> text(format.size() + 256);
  // A conversion may come to nothing; a character in front tells that from too little room.
  const std::string marked = "." + format;
  while (true) {
    const std::size_t length = strftime(text.data(), text.size(), marked.c_str(), &local);
    if (length != 0) return {text.data() + 1, length - 1};
    text.resize(2 * text.size());
  }
}

}  // namespace

FileNames::FileNames(std::string pattern, const RotationOptions& options, const std::string& suffix)
    : pattern_(std::move(pattern)), options_(options), suffix_(suffix) {
  if (!suffix_.empty() && pattern_.ends_with(suffix_)) pattern_.resize(pattern_.size() - suffix_.size());
}

std::string FileNames::first(std::int64_t now_s) {
  ++files_;
  return name(now_s);
}

std::string FileNames::next(Rotation rotation, std::int64_t now_s) {
  number_ = rotation == Rotation::time ? 0 : number_ + 1;
  ++files_;
  return name(now_s);
}

bool FileNames::tells_time() const {
  // Two moments that differ in every part of a date.
  return local_time(pattern_, 0) != local_time(pattern_, 100'000'001);
}

std::string FileNames::name(std::int64_t now_s) const {
  std::string name = options_.interval.count() != 0 ? local_time(pattern_, now_s) : pattern_;
  if (is_ring() && options_.most_files > 1) {
    const std::size_t digits = fmt::formatted_size("{}", options_.most_files - 1);
    name += fmt::format("{:0{}}", (files_ - 1) % options_.most_files, digits);
  } else if (!is_ring() && number_ != 0) {
    name += fmt::format("{}", number_);
  }
  return name + suffix_;
}

}  // namespace ixcap::capture
