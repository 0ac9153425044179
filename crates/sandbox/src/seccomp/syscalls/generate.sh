#!/bin/sh
# Writes table.rs: the numbers of all system calls on every architecture a profile can name.
#
#   generate.sh NEW OLD >table.rs
#
# NEW: an unpacked linux-libc-dev of the newest kernel (Debian's is one package for all architectures:
#      `apt-get download linux-libc-dev`, `dpkg -x`).
# OLD: an unpacked linux-libc-dev-s390x-cross of Linux 6.1, the last with the 31-bit numbers of s390.
# The numbers are the kernel's interface; the files' own licence has the syscall note.
set -eu
new=$1/usr/lib/linux/uapi old=$2/usr
version=$(sed -n 's/^#define LINUX_VERSION_CODE *//p' "$1/usr/include/linux/version.h" |
    awk '{ printf "%d.%d", int($1 / 65536), int($1 / 256) % 256 }')

# In the order of `Column` in architecture.rs.
sources="
$new/x86/asm/unistd_32.h
$new/x86/asm/unistd_64.h
$new/x86/asm/unistd_x32.h
$new/arm/asm/unistd-eabi.h,$new/arm/asm/unistd.h
$new/arm64/asm/unistd_64.h
$new/loongarch/asm/unistd_64.h
$new/m68k/asm/unistd_32.h
$new/mips/asm/unistd_o32.h
$new/mips/asm/unistd_n64.h
$new/mips/asm/unistd_n32.h
$new/parisc/asm/unistd_32.h
$new/parisc/asm/unistd_64.h
$new/powerpc/asm/unistd_32.h
$new/powerpc/asm/unistd_64.h
$new/riscv/asm/unistd_64.h
$(find "$old" -path '*s390*' -name unistd_32.h),$new/s390/asm/unistd_64.h
$new/s390/asm/unistd_64.h
$new/sh/asm/unistd_32.h
"
column=0
for list in $sources; do
    base=0
    case $list in *o32.h) base=4000 ;; *n64.h) base=5000 ;; *n32.h) base=6000 ;; esac
    for file in $(echo "$list" | tr , ' '); do
        # `#define __NR_name 1`, `#define __NR_name (BASE + 1)`; x32's bit 30 is left out, ARM's private base is 0xf000.
        awk -v column="$column" -v base="$base" '
            $1 != "#define" || $2 !~ /^__(ARM_)?NR_[a-z_][a-z0-9_]*$/ { next }
            { name = $2; value = $3 $4 $5; gsub(/[()]/, "", value) }
            name ~ /^__NR_(syscalls|(unused|reserved)[0-9]+)$/ || name == "__NR_sync_file_range2" && value ~ /^__NR/ { next }
            { n = value; sub(/.*\+/, "", n); if (n !~ /^[0-9]+$/) { print "not understood: " $0 >"/dev/stderr"; next } }
            column == 15 && FILENAME ~ /_64/ && n < 424 { next } # From here on all architectures have the same numbers.
            value ~ /\+/ && base { n += base }
            name ~ /^__ARM_NR_/ { n += 61440 }
            { sub(/^__(ARM_)?NR_/, "", name); print name, column, n }
            name == "arm_sync_file_range" { print "sync_file_range2", column, n }
        ' "$file"
    done
    column=$((column + 1))
done | LC_ALL=C sort -k1,1 -k2,2n | awk -v columns=18 -v version="$version" '
    function flush(    i, line) {
        if (last == "") return
        line = ""
        for (i = 0; i < columns; i++) line = line (i ? ", " : "") ((i in number) ? number[i] : "__")
        print "    (\"" last "\", [" line "]),"
        split("", number)
    }
    BEGIN {
        print "//! The numbers of the system calls of Linux " version ", written by `generate.sh`: a row a name, sorted; `__` is absent."
        print ""
        print "use super::{ABSENT as __, COLUMNS};"
        print ""
        print "#[rustfmt::skip]"
        print "pub(super) const TABLE: &[(&str, [u16; COLUMNS])] = &["
    }
    $1 != last { flush(); last = $1 }
    { number[$2] = $3 }
    END { flush(); print "];" }
'
