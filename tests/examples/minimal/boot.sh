#!/bin/bash
# Boots systemd as the first process of a machine of its own: own processes, mounts, network, names and cgroups over
# this machine's files, which it sees and cannot change. It is gone with the process that runs this.
#
# boot.sh NAME FOLDER PACKAGES: NAME of its cgroups; in FOLDER `srv`, which becomes its /srv, and `root`, which is made;
# PACKAGES become its /opt/packages.
set -euo pipefail
name=$1 folder=$2 packages=$3

if [ "${BOOTED:-}" != inside ]; then
  while read -r _ at kind _; do
    case $kind:$at in
      *:*/cpuset) ;; # who joins one must be given processors first
      cgroup*:/sys/fs/cgroup*)
        mkdir -p "$at/$name"
        echo $$ > "$at/$name/cgroup.procs"
        ;;
    esac
  done < /proc/self/mounts
  export BOOTED=inside
  exec unshare --mount --pid --fork --net --ipc --uts --cgroup --kill-child --propagation private \
    bash "$0" "$@"
fi

root=$folder/root
mkdir -p "$root"
layers=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$layers"
mkdir "$layers/upper" "$layers/work"
mount -t overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" overlay "$root"

mount -t proc proc "$root/proc"
# The kernel is that of the machine which runs this.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs sysfs "$root/sys"
for made in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$made"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts" && chmod 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
while read -r _ at kind options _; do
  inside=$root/sys/fs/cgroup${at#/sys/fs/cgroup}
  case $kind:$at in
    *:*/cpuset) ;;
    cgroup2:/sys/fs/cgroup*) mkdir -p "$inside" && mount -t cgroup2 cgroup2 "$inside" ;;
    cgroup:/sys/fs/cgroup/systemd) mkdir -p "$inside" && mount -t cgroup -o none,name=systemd cgroup "$inside" ;;
    cgroup:/sys/fs/cgroup/*) mkdir -p "$inside" && mount -t cgroup -o "${options##*,}" cgroup "$inside" ;;
  esac
done < <(grep -v " $root" /proc/self/mounts)

mkdir -p "$root/srv" "$root/opt/packages"
mount --bind "$folder/srv" "$root/srv"
mount --bind "$packages" "$root/opt/packages"
mount -o remount,bind,ro "$root/opt/packages"
ip link set lo up

# None of this machine's own units, and nothing that speaks to the kernel.
rm -rf "${root:?}"/etc/systemd/system/*
for unit in systemd-sysctl systemd-modules-load systemd-udevd systemd-binfmt systemd-networkd systemd-resolved; do
  ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done
printf '[Unit]\nDescription=A server\n' > "$root/etc/systemd/system/multi-user.target"
echo 'project-ai:x:7001:7001::/srv/project-ai:/usr/sbin/nologin' >> "$root/etc/passwd"
echo 'project-ai:x:7001:' >> "$root/etc/group"
chown -R 7001:7001 "$folder/srv"

# Not by chroot: whoever is in one may make no namespace of users, as PrivateUsers= does.
mkdir "$root/run/before"
cd "$root"
pivot_root . run/before
umount -l /run/before
export container=canary
exec /lib/systemd/systemd --unit=multi-user.target --log-target=console --show-status=no
