# What a job may use. Results are lines on descriptor 3:
#
#     ok TEXT              a check that passed
#     FAILED TEXT          a check that did not
#     value NAME TEXT      a figure
#     complaint TEXT       what the kernel complained of
#     at NAME              the job is here; the host may wait for it
#     ask WORD...          what the job's part on the host is to do now
#     end STATUS           the last line, written by /init
#
# A job is the commands of one file, run by busybox's shell. A failed check does not end it; `need` does.
failed=0

# The host's addresses and the guest's (tests/vm/run gives the host its own): documentation's ranges.
host_address=192.0.2.1
guest_address=192.0.2.2
host_address6=2001:db8::1
guest_address6=2001:db8::2
host_vlan_address=198.51.100.1
guest_vlan_address=198.51.100.2
# What else the host says: host_has_vlan; host_mac; kernel, its version; frames, of a job that captures so many; driver and
# nic_id, of the NIC that is attached.
. /host

# busybox has programs of these names built in, and prefers them.
ip() { /bin/ip "$@"; }
modprobe() { /sbin/modprobe "$@"; }
rmmod() { /sbin/rmmod "$@"; }
lspci() { /usr/bin/lspci "$@"; }

# check TEXT COMMAND...: passes if the command does. What the command prints is on the console.
check() {
  local text=$1 status=0
  shift
  echo "+ $*"
  "$@" || status=$?
  if [ "$status" = 0 ]; then
    echo "ok $text" >&3
  else
    echo "FAILED $text (status $status of: $*)" >&3
    failed=1
  fi
  return "$status"
}

# need TEXT COMMAND...: a check without which the rest makes no sense.
need() { check "$@" || finish; }

# value NAME TEXT...
value() {
  echo "= $*"
  echo "value $*" >&3
}

# timed NAME COMMAND...: the command, with the seconds it took as a value.
timed() {
  local name=$1 start end
  shift
  read -r start _ </proc/uptime
  "$@" || return 1
  read -r end _ </proc/uptime
  value "$name" "$(awk "BEGIN { printf \"%.1f s\", $end - $start }")"
}

# at NAME: tells the host that the job is here.
at() { echo "at $1" >&3; }

# ask WORD...: has the host do something. What it did shows at the NIC.
ask() {
  echo "+ ask $*"
  echo "ask $*" >&3
}

# asked WORD...: has the host do something that it answers, and prints the answer, one line.
asked() {
  local line
  ask "$@" >/dev/ttyS0
  read -r line <&4
  echo "< $line" >/dev/ttyS0
  echo "$line"
}

finish() { exit "$failed"; }

# shown FILE COMMAND...: the command, with what it prints in the file and on the console.
shown() {
  local file=$1 status=0
  shift
  "$@" >"$file" 2>&1 || status=$?
  cat "$file"
  return "$status"
}

# within SECONDS COMMAND...: whether the command succeeds in this time; tries it four times a second.
within() {
  local end=$(($(seconds) + $1))
  shift
  while ! "$@"; do
    if [ "$(seconds)" -gt "$end" ]; then return 1; fi
    sleep 0.25
  done
}

# seconds: since the guest's start.
seconds() { sed 's/\..*//' /proc/uptime; }

# The network interface of the software NIC, once it has a driver.
interface() {
  local device
  for device in /sys/class/net/*/device/vendor; do
    if [ "$(cat "$device" 2>/dev/null)" = 0x8086 ]; then
      device=${device%/device/vendor}
      echo "${device##*/}"
      return 0
    fi
  done
  return 1
}

# The PCI address of the software NIC.
nic_address() { lspci -D -d "$nic_id" | sed -n '1s/ .*//p'; }

has_carrier() { [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]; }

# load_driver: whether it takes the NIC.
load_driver() {
  modprobe "$driver"
  within 10 interface
}

# exchange_frames INTERFACE: gives it the guest's addresses, and whether the host answers.
exchange_frames() {
  ip address replace "$guest_address/24" dev "$1"
  ip address replace "$guest_address6/64" dev "$1" nodad
  ping -c 2 -i 0.2 -w 20 "$host_address"
}

# no_complaints [PATTERN]: whether the kernel logged nothing as bad as a warning since the last call, nor a call trace;
# lines that match the pattern are expected. That a busy host kept the guest waiting is no complaint.
no_complaints() {
  local bad
  # -r shows each line's facility and level as <N>; a warning is 4, and lower is worse.
  bad=$(dmesg -r -c | tee -a /tmp/dmesg | grep -E '^<[0-4]>|Call Trace|cut here' |
    grep -v 'hrtimer: interrupt took' | grep -Ev "${1:-^\$}")
  if [ -z "$bad" ]; then return 0; fi
  echo "$bad"
  echo "$bad" | sed 's/^/complaint /' >&3
  return 1
}

# What the driver says at its own error level when the link goes while something waits in a transmit ring: that is for it
# to throw away, which it does with a reset.
link_loss='initiating reset to clear Tx work after link loss|Reset adapter'

# What the kernel said while it booted is not about the NIC.
dmesg -r -c >/tmp/dmesg
