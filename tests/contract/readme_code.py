#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cuts the program out of README.md, builds it with warnings as errors, runs it, and compares what it prints.

    readme_code.py README.md INCLUDE_DIR LIBRARY COMPILER...
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pthread"]


def main():
    readme, include, library, compiler = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    text = readme.read_text(encoding="utf-8")
    code = re.findall(r"^```cpp\n(.*?)^```$", text, re.S | re.M)
    printed = re.findall(r"^```text\n(.*?)^```$", text, re.S | re.M)
    assert len(code) == 1 and len(printed) == 1, "README.md has one cpp block and one text block"
    lines = [line for line in code[0].split("\n") if line.strip() and not line.startswith(("#include", "using"))]
    assert len(lines) <= 22, f"twenty lines, says the README; these are {len(lines)}"
    with tempfile.TemporaryDirectory(prefix="holdfast-readme-") as folder:
        source, program = Path(folder, "readme.cpp"), Path(folder, "readme")
        source.write_text(code[0])
        subprocess.run([*compiler, *FLAGS, f"-I{include}", source, library, "-o", program], check=True, timeout=300)
        seen = subprocess.run([program], check=True, timeout=60, capture_output=True, text=True).stdout
    if seen != printed[0]:
        print(f"README.md says that it prints\n{printed[0]}\nbut it prints\n{seen}")
        return 1
    print("the README's program prints what the README says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
