#!/bin/sh
# Runs a command of this tree on Debian's own kernel, in an emulated machine: to see what this machine's
# kernel has not, nftables' queue statement for instance.
#
#     sudo sh tools/other-kernel/run.sh [SECONDS [COMMAND]]
#
# COMMAND is run by sh in the root of this tree; by default it is check.sh beside this file. The guest sees
# this machine's files as they are; what it writes goes to its memory and ends with it. Needs root,
# qemu-system-x86, kmod and apt. Exit status: that of the command; 3 when the guest did not get that far.
set -eu
seconds=${1:-900}
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
command=${2:-sh tools/other-kernel/check.sh}
work=$(mktemp -d /tmp/postern-other-kernel-XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"

kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
version=${kernel#linux-image-}
echo "fetching $kernel"
apt-get -qq -o APT::Sandbox::User=root download "$kernel" busybox-static
for package in *.deb; do dpkg -x "$package" system; done
rm -f ./*.deb
depmod -b "$work/system" "$version"

# The first file system: busybox, the modules that reach this machine's files, and a start.
mkdir -p initial/bin initial/proc initial/sys initial/dev initial/root initial/lower initial/upper
cp system/bin/busybox initial/bin/
for module in virtio_pci 9pnet_virtio 9p overlay; do
  modprobe -d "$work/system" -S "$version" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
  target=initial/${file#"$work/system/"}
  mkdir -p "$(dirname "$target")"
  cp "$file" "$target"
done
cp "system/lib/modules/$version"/modules.* "initial/lib/modules/$version/"
cat > initial/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in virtio_pci 9pnet_virtio 9p overlay; do $b modprobe $module; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144 host /lower
$b mount -t tmpfs -o size=1g upper /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work over /root
for system in proc sysfs:sys devtmpfs:dev tmpfs:run; do
  $b mount -t ${system%%:*} guest /root/${system#*:}
done
$b mkdir -p /root/lib/modules
$b mount --bind "/root$POSTERN_WORK/system/lib/modules" /root/lib/modules
$b ip link set lo up
exec $b switch_root /root /bin/sh "$POSTERN_WORK/guest.sh"
INIT
sed -i "s|\\\$POSTERN_WORK|$work|g" initial/init
chmod +x initial/init
cat > guest.sh <<GUEST
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
cd "$tree"
$command
echo "guest: exit \$?"
echo o > /proc/sysrq-trigger
sleep 60
GUEST
(cd initial && find . | cpio -o -H newc 2>/dev/null | gzip -1) > initial.gz

# Emulated, because a virtual machine in a virtual machine may not start.
timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -m 3000 -smp 2 -nographic -no-reboot \
  -kernel "system/boot/vmlinuz-$version" -initrd initial.gz -append "console=ttyS0 edd=off panic=1 quiet" \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap </dev/null 2>&1 |
  tee guest.log || true
exit "$(tr -d '\r' < guest.log | sed -n 's/^guest: exit \([0-9]*\)$/\1/p' | grep . || echo 3)"
