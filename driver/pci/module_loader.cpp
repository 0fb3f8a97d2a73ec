#include <cerrno>
#include <string>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/module_loader.hpp>

#ifdef IXCAP_HAS_KMOD
#include <libkmod.h>

#include <memory>
#else
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#endif

namespace ixcap::pci {
namespace {

Error cannot_load(const std::string& name, int error_number) {
  const std::string by_hand = "modprobe " + name;
  switch (error_number) {
    case EPERM:
    case EACCES:
      return Error::from_errno("cannot load kernel module", name, error_number, "be root: sudo " + by_hand);
    case ENOENT:
    case ENOSYS:
      return Error("cannot load kernel module", name, "the running kernel has no such module",
                   "install the one that it belongs to: apt-get install linux-image-$(uname -r)");
    default:
      return Error::from_errno("cannot load kernel module", name, error_number,
                               "see what the kernel says: " + by_hand + "; dmesg | tail");
  }
}

#ifdef IXCAP_HAS_KMOD

struct Release {
  void operator()(kmod_ctx* context) const noexcept { kmod_unref(context); }
  void operator()(kmod_list* list) const noexcept { kmod_module_unref_list(list); }
  void operator()(kmod_module* module) const noexcept { kmod_module_unref(module); }
};

#endif

}  // namespace

#ifdef IXCAP_HAS_KMOD

void load_module(const std::string& name) {
  const std::unique_ptr<kmod_ctx, Release> context(kmod_new(nullptr, nullptr));
  if (context == nullptr) throw cannot_load(name, ENOMEM);
  kmod_set_log_fn(context.get(), nullptr, nullptr);  // its words go to standard error otherwise
  kmod_list* found = nullptr;
  const int looked_up = kmod_module_new_from_lookup(context.get(), name.c_str(), &found);
  const std::unique_ptr<kmod_list, Release> modules(found);
  if (looked_up < 0) throw cannot_load(name, -looked_up);
  if (modules == nullptr) throw cannot_load(name, ENOENT);
  for (kmod_list* entry = modules.get(); entry != nullptr; entry = kmod_list_next(modules.get(), entry)) {
    const std::unique_ptr<kmod_module, Release> module(kmod_module_get_module(entry));
    const int result = kmod_module_probe_insert_module(module.get(), 0, nullptr, nullptr, nullptr, nullptr);
    if (result < 0 && result != -EEXIST) throw cannot_load(name, -result);
  }
}

#else

void load_module(const std::string& name) {
  // Not what PATH says: this runs as root. Debian has it in /sbin, which may be the same folder.
  for (const char* program : {"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe"}) {
    if (::access(program, X_OK) != 0) continue;
    std::string command = program;
    std::string end = "--";
    std::string module = name;
    const std::array<char*, 4> words{command.data(), end.data(), module.data(), nullptr};
    pid_t child = 0;
    if (const int error = ::posix_spawn(&child, program, nullptr, nullptr, words.data(), environ); error != 0) {
      throw cannot_load(name, error);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    throw Error("cannot load kernel module", name, "modprobe failed; its words are above",
                "see what the kernel says: dmesg | tail");
  }
  throw Error("cannot load kernel module", name, "there is no modprobe", "apt-get install kmod");
}

#endif

}  // namespace ixcap::pci
