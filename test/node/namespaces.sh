#!/bin/sh
# Process 1 of a node: prepares the mounts, the network and the limits of its own namespaces, then waits for its end.
# Nothing it does is seen outside of them.   namespaces.sh FOLDER NAME ADDRESS
set -eu
folder=$1 name=$2 address=$3
# What kubelet and containerd mount is shared among them, and with nobody else.
mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc
for controller in /sys/fs/cgroup/*/; do
  controller=$(basename "$controller")
  # The kernel refuses to mount the same file system on top of itself.
  umount "/sys/fs/cgroup/$controller"
  case $controller in
    unified) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$controller" ;;
    systemd) mount -t cgroup -o none,name=systemd cgroup "/sys/fs/cgroup/$controller" ;;
    *) mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" ;;
  esac
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
for used in lib/kubelet lib/containerd lib/cni log; do
  mkdir -p "$folder/$used" "/var/$used"
  mount --bind "$folder/$used" "/var/$used"
done
# The kubelet sets these for the whole machine, which would then restart on a kernel's oops: it gets files instead.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  mkdir -p "$folder/sys/${setting%/*}"
  cat "/proc/sys/$setting" > "$folder/sys/$setting"
  mount --bind "$folder/sys/$setting" "/proc/sys/$setting"
done
hostname "$name"
ip link set lo up
# The far end of the node's interface is here too: it has a default route, as the kubelet wants, and no way out.
ip link add eth0 type veth peer name uplink
ip link set uplink up
ip address add "$address/24" dev eth0
ip link set eth0 up
ip route add default dev eth0
echo 1 > /proc/sys/net/ipv4/ip_forward
touch "$folder/ready"
trap 'exit 0' TERM
# The shell takes in the orphans meanwhile.
while :; do
  sleep 86400 &
  wait $! || :
done
