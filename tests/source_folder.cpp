#include "tests/files.hpp"

namespace ixcap::test {

const char* source_folder() {
  return IXCAP_SOURCE_FOLDER;
}

}  // namespace ixcap::test
