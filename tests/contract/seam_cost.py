#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The seam costs nothing: each function `x__seam` has as many instructions as `x__hand`, written without it.

    seam_cost.py OBJDUMP ARCHIVE
"""
import re
import subprocess
import sys


def instructions(listing):
    """name -> mnemonics; padding between functions is not theirs"""
    found, name = {}, None
    for line in listing.split("\n"):
        head = re.match(r"[0-9a-f]+ <(\w+)>:$", line)
        if head:
            name = head.group(1)
            found[name] = []
        elif name and re.match(r"\s+[0-9a-f]+:\t", line):
            mnemonic = line.split("\t")[-1].split()[0]
            if not (mnemonic in ("nop", "nopw", "nopl", "xchg", "cs", "data16", "int3") and "ret" in found[name]):
                found[name].append(mnemonic)
    return found


def main():
    objdump, archive = sys.argv[1:3]
    listing = subprocess.run([objdump, "-d", "--no-show-raw-insn", archive], check=True, capture_output=True,
                             text=True).stdout
    found = instructions(listing)
    pairs = sorted(n[:-len("__seam")] for n in found if n.endswith("__seam"))
    wrong = 0
    for name in pairs:
        seam, hand = found[name + "__seam"], found.get(name + "__hand", [])
        same = len(seam) == len(hand) > 0
        wrong += not same
        print(f"{name:<10} {len(seam):3} instructions through the seam, {len(hand):3} by hand{'' if same else '   DIFFERENT'}")
    if len(pairs) < 8:
        print(f"only {len(pairs)} pairs were found")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
