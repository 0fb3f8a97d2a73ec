#pragma once

/// Files for tests: a temporary folder, and real captures where there are some.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace ixcap::test {

/// A folder of its own for a test's files, removed with them at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "ixcap-test-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot create " + path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Where the source tree lies.
const char* source_folder();

/// Real traffic: the pcap and pcapng files in $IXCAP_CAPTURES (default: shared/captures beside the source tree), by
/// name; none where there is no such folder.
inline std::vector<std::string> real_captures() {
  namespace fs = std::filesystem;
  const char* named = std::getenv("IXCAP_CAPTURES");
  const fs::path folder = named != nullptr ? fs::path(named) : fs::path(source_folder()) / "../shared/captures";
  std::vector<std::string> paths;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(folder, absent)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".pcap" || extension == ".pcapng") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace ixcap::test
