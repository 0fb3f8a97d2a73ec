# What a guest finds at the host's end of the wire, for jobs with a TAP (tests/vm/run sources this).
#
#     port 5001   answers what it is sent with its checksum
#     port 5002   sends the payload
#     port 5003   sends the payload's checksum
#     port 5004   sends back what it is sent

# start_peers PAYLOAD_BYTES
start_peers() {
  head -c "$1" /dev/urandom >"$folder/payload"
  sha256sum <"$folder/payload" >"$folder/payload.sum"
  peer 5001 SYSTEM:sha256sum
  peer 5002 "OPEN:$folder/payload,rdonly" -U
  peer 5003 "OPEN:$folder/payload.sum,rdonly" -U
  peer 5004 PIPE
}

# peer PORT ADDRESS [OPTION...]: socat between connections to the port and ADDRESS.
peer() {
  local port=$1 address=$2
  shift 2
  run_unpacked "$vm_cache/guest" usr/bin/socat -b 65536 "$@" "TCP6-LISTEN:$port,reuseaddr,fork,ipv6only=0" "$address" \
    2>>"$folder/peer.log" &
}
