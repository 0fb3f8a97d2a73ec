# TCP with the host's peers (tests/vm/peers.bash), compared by checksum; for jobs that say `. /traffic.sh`.

# receive ADDRESS: the host's payload, to /tmp/payload.
receive() {
  socat -u -b 65536 "TCP:$1:5002" - >/tmp/payload && [ "$(sha256sum </tmp/payload)" = "$(socat -u "TCP:$1:5003" -)" ]
}

# send ADDRESS: the payload that was received, to the host, which answers with its checksum.
send() { [ "$(socat -t 120 -b 65536 - "TCP:$1:5001" </tmp/payload)" = "$(sha256sum </tmp/payload)" ]; }

# start_stream ADDRESS: a connection that sends some megabytes a second, as long as it can, and gets them back.
start_stream() {
  [ -f /tmp/block ] || head -c 65536 /dev/urandom >/tmp/block
  rm -f /tmp/stop /tmp/sent
  mkfifo /tmp/sent
  sha256sum </tmp/sent >/tmp/sent.sum &
  {
    blocks=0
    while [ ! -e /tmp/stop ]; do
      cat /tmp/block
      blocks=$((blocks + 1))
      usleep 20000
    done
    echo "$blocks" >/tmp/blocks
  } | tee /tmp/sent | socat -t 120 -b 65536 - "TCP:$1:5004" | sha256sum >/tmp/returned.sum &
  stream=$!
}

# stream_flows INTERFACE: whether it takes 100 frames more, in a while.
stream_flows() {
  local counter=/sys/class/net/$1/statistics/rx_packets wanted
  wanted=$(($(cat "$counter") + 100))
  within 60 sh -c "[ \"\$(cat $counter)\" -ge $wanted ]"
}

# end_stream: whether all that was sent came back, unchanged.
end_stream() {
  touch /tmp/stop
  wait "$stream"
  value stream_mib "$(($(cat /tmp/blocks) / 16))"
  [ "$(cat /tmp/blocks)" -gt 0 ] && cmp /tmp/sent.sum /tmp/returned.sum
}

# statistic INTERFACE NAME: a figure of ethtool -S; 0 if it has none of that name.
statistic() {
  local figure
  figure=$(ethtool -S "$1" | sed -n "s/^ *$2: //p")
  echo "${figure:-0}"
}

# no_errors INTERFACE: checks that the driver has counted none.
no_errors() {
  local counter
  for counter in rx_errors tx_errors rx_csum_offload_errors rx_crc_errors tx_timeout_count; do
    check "$counter is 0" [ "$(statistic "$1" $counter)" = 0 ]
  done
}
