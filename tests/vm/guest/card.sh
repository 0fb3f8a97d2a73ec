# The ixcap command and a card in the guest, for jobs that say `. /card.sh`.

# Whoever is not to do something as root. What she is told to do is done for her: sudo is root here.
USER=alice
alice() { su alice -c "$*"; }
sudo() { "$@"; }

# refused WORDS COMMAND...: the command fails, and says so. What it said is in /tmp/said.
refused() {
  local words=$1
  shift
  if "$@" >/tmp/said 2>&1; then return 1; fi
  cat /tmp/said
  grep -qF -- "$words" /tmp/said
}

# run_told: the command that the last refusal has told of.
run_told() {
  local command
  command=$(tail -n 1 /tmp/said | sed 's/.*: //')
  echo "> $command"
  eval "$command"
}

group_of() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }

# with_driver ADDRESS NAME: whether this driver has the function.
with_driver() { [ "$(basename "$(readlink "/sys/bus/pci/devices/$1/driver")")" = "$2" ]; }

# take_card ADDRESS: for vfio-pci, by hand.
take_card() {
  modprobe vfio-pci
  echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
  if [ -e "/sys/bus/pci/devices/$1/driver" ]; then echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"; fi
  echo "$1" >/sys/bus/pci/drivers_probe
  with_driver "$1" vfio-pci
}

# ledger FILE WORDS: the entry of a capture's drop ledger that begins so; of several queues, the sum. 0 if there is none.
ledger() {
  awk -v words="$2" '{ count = $1; sub(/^ *[0-9]+  /, "") } index($0, words) == 1 { sum += count } END { print sum + 0 }' "$1"
}

# finding CHECK: the doctor's line of JSON about it, as $as: of the card at $address.
as=
finding() { $as ixcap doctor --json "$address" | grep "\"check\":\"$1\""; }
verdict() { finding "$1" | sed 's/.*"verdict":"\([a-z]*\)".*/\1/'; }
is() { [ "$(verdict "$1")" = "$2" ]; }
# says CHECK WORDS: what it found is told so; or what mends it.
says() { finding "$1" | grep -qF -- "$2"; }

# The command that mends it. Where it costs something, that stands before it.
mend() {
  finding "$1" | sed -n 's/.*"mend":"\(.*\)"}.*/\1/p' | sed 's/\\\(["\\]\)/\1/g; s/.*if [a-z ]*: //'
}
run_mend() {
  local command
  command=$(mend "$1")
  echo "> $command"
  [ -n "$command" ] && eval "$command"
}

# mended CHECK VERDICT TEXT: the doctor finds it, its command mends it.
mended() {
  check "the doctor finds: $3" is "$1" "$2"
  check "its command mends it" run_mend "$1"
  check "mended: $3" is "$1" ok
}
