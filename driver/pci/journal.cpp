#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/address.hpp>
#include <ixcap/driver/pci/journal.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view first_line = "ixcap journal 1";
constexpr std::string_view suffix = ".journal";
constexpr std::size_t longest_name = 15;  // of a network interface; one byte more ends it
constexpr std::size_t longest_file = 256 * 1024;

bool is_word(std::string_view text, std::size_t longest) noexcept {
  const auto good = [](char c) { return c > ' ' && c < '\x7f' && c != '/'; };
  return !text.empty() && text.size() <= longest && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), good);
}

bool is_mac(std::string_view text) noexcept {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (i % 3 == 2 ? text[i] != ':' : !hex) return false;
  }
  return true;
}

template <typename Number>
std::optional<Number> to_number(std::string_view text) noexcept {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_network_address(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash > 45) return false;
  const auto prefix = to_number<unsigned>(text.substr(slash + 1));
  const auto good = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.'; };
  return prefix && *prefix <= 128 && std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(slash), good);
}

/// Reads a journal line by line; what a line may be depends on those before.
class JournalParser {
 public:
  /// Whether the line is one that may stand here.
  bool take(std::string_view line) {
    if (ended_) return false;
    if (line == "end") return ended_ = !journal_.functions.empty();
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return false;
    const std::string_view key = line.substr(0, space);
    const std::string value(line.substr(space + 1));
    if (journal_.functions.empty() && key == "boot") return is_word(journal_.boot_id = value, 64);
    if (journal_.functions.empty() && key == "holder") return take_holder(value);
    if (key == "function") return take_function(value);
    if (journal_.functions.empty()) return false;
    return take_state(key, value);
  }
  bool ended() const noexcept { return ended_; }
  Journal journal() && { return std::move(journal_); }

 private:
  bool take_holder(std::string_view value) {
    const std::size_t space = value.find(' ');
    if (space == std::string_view::npos) return false;
    const auto pid = to_number<pid_t>(value.substr(0, space));
    const auto start = to_number<std::uint64_t>(value.substr(space + 1));
    if (!pid || *pid <= 0 || !start) return false;
    journal_.holder = Holder{*pid, *start};
    return true;
  }
  bool take_function(const std::string& value) {
    if (canonical_address(value) != value || journal_.entry(value) != nullptr) return false;
    journal_.functions.push_back({value, "", "", std::nullopt});
    return true;
  }
  bool take_state(std::string_view key, const std::string& value) {
    constexpr std::size_t longest_driver = 63;
    constexpr unsigned largest_mtu = 65536;
    JournalEntry& entry = journal_.functions.back();
    if (key == "driver") return is_word(entry.driver = value, longest_driver);
    if (key == "override") return is_word(entry.driver_override = value, longest_driver);
    if (key == "network") {
      entry.network = NetworkState{.name = value, .mtu = 0, .mac = "", .up = false, .addresses = {}};
      return is_word(value, longest_name);
    }
    if (!entry.network) return false;
    if (key == "mtu") {
      entry.network->mtu = to_number<unsigned>(value).value_or(0);
      return entry.network->mtu > 0 && entry.network->mtu <= largest_mtu;
    }
    if (key == "mac") return is_mac(entry.network->mac = value);
    if (key == "up") {
      entry.network->up = value == "yes";
      return value == "yes" || value == "no";
    }
    if (key != "address" || !is_network_address(value)) return false;
    entry.network->addresses.push_back(value);
    return true;
  }

  Journal journal_;
  bool ended_ = false;
};

Error damaged_journal(const std::string& path, const std::string& reason) {
  return Error("cannot read the journal", path, reason,
               fmt::format("without it the kernel chooses the driver, and the rest is lost: rm {} && ixcap unbind {}",
                           path, fs::path(path).stem().string()));
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(longest_file, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) throw damaged_journal(path, "it cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

/// Whether the file is an older journal of the same functions.
bool names_any_of(const std::string& path, const Journal& journal) {
  try {
    const Journal other = parse_journal(read_text(path), path);
    return std::any_of(journal.functions.begin(), journal.functions.end(),
                       [&other](const JournalEntry& entry) { return other.entry(entry.address) != nullptr; });
  } catch (const Error&) {
    return false;
  }
}

Error cannot_write(const std::string& path, int error_number) {
  return Error::from_errno("cannot write the journal", path, error_number,
                           error_number == EACCES || error_number == EPERM
                               ? "be root: sudo ixcap ..."
                               : "make room and see that the folder can be written");
}

void flush_folder(const std::string& folder) {
  const FileDescriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.valid() || ::fsync(file.number()) != 0) throw cannot_write(folder, errno);
}

}  // namespace

const JournalEntry* Journal::entry(std::string_view address) const noexcept {
  const auto found = std::find_if(functions.begin(), functions.end(),
                                  [address](const JournalEntry& entry) { return entry.address == address; });
  return found == functions.end() ? nullptr : &*found;
}

std::string Journal::to_string() const {
  std::string text = fmt::format("{}\nboot {}\n", first_line, boot_id.empty() ? "unknown" : boot_id);
  if (holder) text += fmt::format("holder {} {}\n", holder->pid, holder->start_ticks);
  for (const JournalEntry& entry : functions) {
    text += fmt::format("function {}\n", entry.address);
    if (!entry.driver.empty()) text += fmt::format("driver {}\n", entry.driver);
    if (!entry.driver_override.empty()) text += fmt::format("override {}\n", entry.driver_override);
    if (!entry.network) continue;
    const NetworkState& network = *entry.network;
    text += fmt::format("network {}\n", network.name);
    if (network.mtu != 0) text += fmt::format("mtu {}\n", network.mtu);
    if (!network.mac.empty()) text += fmt::format("mac {}\n", network.mac);
    text += fmt::format("up {}\n", network.up ? "yes" : "no");
    for (const std::string& address : network.addresses) text += fmt::format("address {}\n", address);
  }
  return text + "end\n";
}

Journal parse_journal(std::string_view text, const std::string& path) {
  JournalParser parser;
  unsigned number = 0;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos) break;
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline + 1);
    ++number;
    const bool good = number == 1 ? line == first_line : parser.take(line);
    if (!good) throw damaged_journal(path, fmt::format("line {} is not what ixcap writes", number));
  }
  if (!text.empty() || !parser.ended()) throw damaged_journal(path, "its end is missing");
  return std::move(parser).journal();
}

std::vector<std::string> JournalFolder::files() const {
  std::vector<std::string> paths;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, absent)) {
    if (entry.path().string().ends_with(suffix)) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::optional<std::string> JournalFolder::find(const std::string& address) const {
  for (const std::string& path : files()) {
    // A damaged one speaks for the function that it is named after, and does not hide the others.
    if (fs::path(path).stem() == address) return path;
    try {
      if (parse_journal(read_text(path), path).entry(address) != nullptr) return path;
    } catch (const Error&) {
      continue;
    }
  }
  return std::nullopt;
}

std::optional<Journal> JournalFolder::read(const std::string& address) const {
  const std::optional<std::string> path = find(address);
  if (!path) return std::nullopt;
  Journal journal = parse_journal(read_text(*path), *path);
  if (journal.entry(address) == nullptr)
    throw damaged_journal(*path, "it does not name the card that it is named after");
  return journal;
}

void JournalFolder::write(const Journal& journal) const {
  const std::string path = fmt::format("{}/{}{}", folder_, journal.functions.front().address, suffix);
  const std::string draft = path + ".new";
  const std::string text = journal.to_string();
  parse_journal(text, path);  // what could not be read again is not relied on
  {
    const FileDescriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file.valid()) throw cannot_write(draft, errno);
    const ssize_t written = ::write(file.number(), text.data(), text.size());
    if (written != static_cast<ssize_t>(text.size())) throw cannot_write(draft, written < 0 ? errno : ENOSPC);
    if (::fsync(file.number()) != 0) throw cannot_write(draft, errno);
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) throw cannot_write(path, errno);
  flush_folder(folder_);
  for (const std::string& other : files()) {
    if (other != path && names_any_of(other, journal)) ::unlink(other.c_str());
  }
}

void JournalFolder::remove(const std::string& address) const {
  const std::optional<std::string> path = find(address);
  if (!path) return;
  if (::unlink(path->c_str()) != 0) throw cannot_write(*path, errno);
  flush_folder(folder_);
}

std::vector<std::string> JournalFolder::addresses() const {
  std::vector<std::string> found;
  for (const std::string& path : files()) {
    try {
      for (const JournalEntry& entry : parse_journal(read_text(path), path).functions) found.push_back(entry.address);
    } catch (const Error&) {
      continue;  // damaged() tells
    }
  }
  return found;
}

std::vector<std::string> JournalFolder::damaged() const {
  std::vector<std::string> paths = files();
  std::erase_if(paths, [](const std::string& path) {
    try {
      parse_journal(read_text(path), path);
      return true;
    } catch (const Error&) {
      return false;
    }
  });
  return paths;
}

JournalLock::JournalLock(const JournalFolder& folder) {
  std::error_code shows_below;
  fs::create_directories(fs::path(folder.path()).parent_path(), shows_below);
  // Whoever could write there could have root do things to the machine.
  constexpr mode_t for_owner_only = 0755;
  if (::mkdir(folder.path().c_str(), for_owner_only) != 0 && errno != EEXIST) throw cannot_write(folder.path(), errno);
  const std::string path = folder.path() + "/lock";
  file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file_.valid()) throw cannot_write(path, errno);
  while (::flock(file_.number(), LOCK_EX) != 0) {
    if (errno != EINTR) throw cannot_write(path, errno);
  }
}

std::string boot_id(const std::string& procfs) {
  std::ifstream file(procfs + "/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return is_word(id, 64) ? id : "";
}

std::optional<Holder> holder_of(pid_t pid, const std::string& procfs) {
  std::ifstream file(fmt::format("{}/{}/stat", procfs, pid));
  const std::string line((std::istreambuf_iterator<char>(file)), {});
  // The second field is the name in parentheses, which may hold anything; the start is the 22nd.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (unsigned number = 3; number <= 22; ++number) fields >> field;
  const auto start = to_number<std::uint64_t>(field);
  if (!fields || !start) return std::nullopt;
  return Holder{pid, *start};
}

}  // namespace ixcap::pci
