# The Debian 12 packages that ixcap needs, and how to install those that are missing. Sourced by tools/quickstart and
# tests/run.

# netbase: the names of ports and protocols, for filter expressions.
build_packages=(g++ cmake ninja-build pkg-config libpcap-dev libfmt-dev libcli11-dev libxbyak-dev libzydis-dev
  libkmod-dev liburing-dev libzstd-dev netbase)
test_packages=(git libgtest-dev libgmock-dev libbenchmark-dev clang libclang-rt-14-dev clang-format tcpdump tshark zstd
  relacy-dev libreaderwriterqueue-dev libboost-dev)

# missing_packages PACKAGE...: those of them that are not installed, one a line.
missing_packages() {
  local package
  for package; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# install_packages PACKAGE...: installs what is missing of them, as root or through sudo; quietly when it works.
install_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: going on as if there were what these packages hold: $*" >&2
    return 0
  fi
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then return 0; fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "Some packages are missing, and there is no sudo. Run this as root, then try again:" >&2
      echo "    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "Installing ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    echo "The packages could not be installed; apt-get's words are above." >&2
    return 1
  fi
  rm -f "$log"
}
