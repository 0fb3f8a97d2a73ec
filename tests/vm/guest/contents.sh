# What a capture file holds, in figures: for jobs that say `. /contents.sh`, and for the host, which makes from the
# software NIC alone what the guest's captures are to be like.

# contents: of the file on standard input: frames and bytes, of all and of those with some bit set that differs from frame
# to frame.
contents() {
  ixcap filter -r - -e 'len > 0' -e tcp -e 'udp port 53' -e ip6 -e 'ip[5] & 1 = 1' -e 'ip[11] & 1 = 1' \
    -e 'tcp[7] & 1 = 1' -e 'udp[7] & 1 = 1' -e 'ip[2:2] > 512' -e 'ether[40] & 1 = 1' -e 'ether[1500] & 1 = 1' \
    -e 'ether[9000] & 1 = 1' 2>/dev/null
}

# lost_nothing FILE COUNT: whether the summary of a capture with -v is of so many packets, and accounts for all others.
lost_nothing() {
  cat "$1"
  grep -q "^$2 packets captured" "$1" &&
    grep -q '^0 packets dropped by kernel' "$1" &&
    ! grep -q 'dropped by interface' "$1" &&
    grep -q 'the sum is right' "$1"
}
