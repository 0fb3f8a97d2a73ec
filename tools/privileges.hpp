#pragma once

/// Giving up root: -Z.

#include <string>

namespace ixcap::tools {

/// From now on this process, all its threads included, is `user` with that user's groups, and nothing else. Throws
/// ixcap::Error, without having changed anything that could be held back: for an unknown user, or one who is not root
/// and asks for another.
void become(const std::string& user);

}  // namespace ixcap::tools
