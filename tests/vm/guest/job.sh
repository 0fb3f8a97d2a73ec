# What a job may use. Results are lines on descriptor 3:
#
#     ok TEXT              a check that passed
#     FAILED TEXT          a check that did not
#     value NAME TEXT      a figure
#     at NAME              the job is here; the host may wait for it
#     end STATUS           the last line, written by /init
#
# A job is the commands of one file, run by busybox's shell. A failed check does not end it; `need` does.
failed=0

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

# at NAME: tells the host that the job is here.
at() { echo "at $1" >&3; }

finish() { exit "$failed"; }

# within SECONDS COMMAND...: whether the command succeeds in this time; tries it four times a second.
within() {
  local tries=$(($1 * 4))
  shift
  while ! "$@"; do
    tries=$((tries - 1))
    if [ "$tries" -le 0 ]; then return 1; fi
    sleep 0.25
  done
}

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
nic_address() { lspci -D -d 8086:10fb | sed -n '1s/ .*//p'; }

has_carrier() { [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]; }

# no_complaints: whether the kernel said nothing bad, of the NIC's driver or of itself, since the last call.
no_complaints() {
  local bad
  bad=$(dmesg -c | tee -a /tmp/dmesg | grep -i -E \
    'ixgbe.*(fail|error|warn|hang|timed|timeout|reset|unable|unsupported|not |detected tx)|call trace|BUG:|WARNING:|oops|aer:.*error|nobody cared' |
    grep -v -i -E 'probed|not enough|SR-IOV|reset_prepare' )
  if [ -z "$bad" ]; then return 0; fi
  echo "$bad"
  return 1
}
