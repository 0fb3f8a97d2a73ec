# What tests/vm/prepare makes and tests/vm/run uses: where it is, and whether it is whole. Sourced by both.
#
#     CACHE/qemu/              Debian 13's QEMU with its libraries, unpacked: runs through its own loader
#     CACHE/guest/             Debian 12's programs for the guest, unpacked
#     CACHE/kernel-VERSION/    a kernel, vmlinuz, and the part of the guest's file system with its modules, modules.cpio
#     CACHE/initramfs.cpio     the rest of the guest's file system, without /init and the job: tests/vm/run adds them
#     CACHE/stamp              what made these and their checksums; there is none until all of it is there

vm_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_cache=${IXCAP_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/ixcap-vm}
# Of Debian 12 and 13; vfio-user-pci is in QEMU since 10.1, which Debian 13 has among its backports.
vm_guest_suite=bookworm
vm_qemu_suite=trixie
# Kernels by version, and whose they are; which one guests run unless told otherwise.
declare -A vm_kernels=([6.1]=bookworm [6.12]=trixie)
vm_usual_kernel=6.1

# say TEXT...: a line of ours among what other programs print.
say() { echo "${0##*/vm/}: $*" >&2; }

# The status that says skipped, to CTest and to tests/run.
vm_skipped=77

# recipe: what CACHE depends on.
recipe() { sha256sum <"$vm_folder/prepare" | cut -d' ' -f1; }

# vm_is_prepared: whether CACHE is whole and made by this tests/vm/prepare.
vm_is_prepared() {
  [[ -f $vm_cache/stamp ]] || return 1
  [[ $(head -n 1 "$vm_cache/stamp") == "$(recipe)" ]] || return 1
  (cd "$vm_cache" && tail -n +2 stamp | sha256sum --check --status --strict)
}

# exec_unpacked TREE PROGRAM ARGUMENT...: becomes a program of an unpacked tree, with the tree's own loader and libraries.
exec_unpacked() {
  local tree=$1 program=$2
  shift 2
  exec "$tree/loader" --library-path "$(library_path "$tree")" "$tree/$program" "$@"
}

# run_unpacked TREE PROGRAM ARGUMENT...: runs it.
run_unpacked() { (exec_unpacked "$@"); }

# library_path TREE: the folders of its libraries.
library_path() {
  echo "$1/lib/x86_64-linux-gnu:$1/usr/lib/x86_64-linux-gnu:$1/lib:$1/usr/lib"
}
