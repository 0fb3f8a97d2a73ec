// Whatever the text: it compiles to a program, or there is an ExpressionError that points into it or just past its end.

#include <netdb.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ixcap/filter/expression.hpp>

// Takes the place of the C library's, so that no name server is asked.
extern "C" int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) {
  return EAI_NONAME;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  try {
    if (ixcap::filter::compile(text).instructions().empty()) abort();
  } catch (const ixcap::filter::ExpressionError& error) {
    if (error.column() > size) abort();
    const std::string picture = error.picture();
    if (picture.find('\n') != size || picture.back() != '^') abort();
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) abort();
  }
  return 0;
}
