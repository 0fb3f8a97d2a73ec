#include "tools/privileges.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include <ixcap/driver/error.hpp>

namespace ixcap::tools {
namespace {

struct Account {
  uid_t user;
  gid_t group;
};

Account find_account(const std::string& name) {
  std::vector<char> memory(16 * 1024);
  passwd entry = {};
  passwd* found = nullptr;
  const int error_number = ::getpwnam_r(name.c_str(), &entry, memory.data(), memory.size(), &found);
  if (error_number != 0 && found == nullptr && error_number != ENOENT)
    throw Error::from_errno("cannot become", name, error_number, "look at /etc/nsswitch.conf");
  if (found == nullptr) throw Error("cannot become", name, "there is no such user", "adduser --system " + name);
  return {entry.pw_uid, entry.pw_gid};
}

}  // namespace

void become(const std::string& user) {
  const Account account = find_account(user);
  if (::geteuid() != 0) {
    if (account.user == ::geteuid()) return;
    throw Error("cannot become", user, "only root may become somebody else", "leave -Z out, or start this as root");
  }
  // The order matters: who is no longer root may change no groups.
  if (::initgroups(user.c_str(), account.group) != 0 || ::setresgid(account.group, account.group, account.group) != 0 ||
      ::setresuid(account.user, account.user, account.user) != 0)
    throw Error::from_errno("cannot become", user, errno, "start this as root, with the capabilities that root has");
  if (account.user != 0 && (::setuid(0) == 0 || ::geteuid() != account.user))
    throw Error("cannot become", user, "the way back to root is open", "report this");
}

}  // namespace ixcap::tools
