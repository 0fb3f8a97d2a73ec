#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include <ixcap/driver/emulator/pipe_file.hpp>

namespace ixcap::emulator {
namespace {

constexpr int look_every_ms = 100;

struct Pipe {
  int descriptor;
  const std::atomic<bool>& cancelled;
};

ssize_t read_pipe(void* cookie, char* buffer, std::size_t size) {
  const Pipe& pipe = *static_cast<const Pipe*>(cookie);
  while (!pipe.cancelled.load(std::memory_order_relaxed)) {  // a flag of its own, it orders nothing
    pollfd wanted{pipe.descriptor, POLLIN, 0};
    const int ready = poll(&wanted, 1, look_every_ms);
    if (ready < 0 && errno != EINTR) return -1;
    if (ready <= 0) continue;
    const ssize_t count = read(pipe.descriptor, buffer, size);
    if (count >= 0 || (errno != EINTR && errno != EAGAIN)) return count;
  }
  return 0;
}

int close_pipe(void* cookie) {
  const std::unique_ptr<Pipe> pipe(static_cast<Pipe*>(cookie));
  return close(pipe->descriptor);
}

}  // namespace

std::FILE* open_pipe_file(int descriptor, const std::atomic<bool>& cancelled) {
  auto pipe = std::make_unique<Pipe>(Pipe{descriptor, cancelled});
  std::FILE* const file =
      fopencookie(pipe.get(), "r", {.read = read_pipe, .write = nullptr, .seek = nullptr, .close = close_pipe});
  if (file != nullptr) static_cast<void>(pipe.release());  // close_pipe frees it
  return file;
}

}  // namespace ixcap::emulator
