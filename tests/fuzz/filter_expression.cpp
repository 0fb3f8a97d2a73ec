// Whatever the text: it compiles to a program, or there is an ExpressionError that points into it or just past its end.

#include <netdb.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/vlan_aware.hpp>

// Takes the place of the C library's, so that no name server is asked.
extern "C" int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) {
  return EAI_NONAME;
}

namespace {

using Compile = ixcap::filter::Program (*)(std::string_view, std::uint32_t, bool);

void try_to(Compile compile, const std::string& text) {
  try {
    if (compile(text, 262144, true).instructions().empty()) abort();
  } catch (const ixcap::filter::ExpressionError& error) {
    if (error.column() > text.size()) abort();
    const std::string picture = error.picture();
    if (picture.find('\n') != text.size() || picture.back() != '^') abort();
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  try_to(ixcap::filter::compile, text);
  try_to(ixcap::filter::compile_vlan_aware, text);
  return 0;
}
