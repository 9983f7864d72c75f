#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds and runs tests/consumer/project outside of the tree, against holdfast as it is installed.

    run.py pkg-config|cmake|meson SOURCE_ROOT BUILD_ROOT COMPILER...

The install goes to a staging folder that is not the prefix it was configured for, so what is found there is relocatable.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def run(*command, env=None, cwd=None):
    print("$", *command, flush=True)
    return subprocess.run([str(c) for c in command], check=True, env={**os.environ, **(env or {})}, cwd=cwd, timeout=500,
                          stdin=subprocess.DEVNULL)


def output(*command, env=None):
    print("$", *command, flush=True)
    return subprocess.run([str(c) for c in command], check=True, env={**os.environ, **(env or {})}, timeout=60,
                          capture_output=True, text=True).stdout.split()


def install(build, temp):
    """Only what a consumer of the library needs: the program need not be built for it."""
    stage = temp / "stage"
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", stage, "--tags", "devel,runtime")
    pc = next(stage.rglob("holdfast.pc"), None)
    assert pc is not None, "holdfast.pc is not installed"
    return stage, pc.parent, pc.parent.parent


def linked_against_shared(program):
    if shutil.which("ldd") is None:
        return None
    return "libholdfast.so" in subprocess.run(["ldd", program], capture_output=True, text=True, timeout=60).stdout


def by_pkg_config(source, build, compiler, temp):
    stage, pc, lib = install(build, temp)
    env = {"PKG_CONFIG_PATH": str(pc), "PKG_CONFIG_SYSROOT_DIR": str(stage)}
    main = source / "tests/consumer/project/main.cpp"
    flags = output("pkg-config", "--cflags", "holdfast", env=env)
    shared, static = temp / "shared", temp / "static"
    run(*compiler, "-std=c++20", *WARNINGS, *flags, main, "-o", shared, *output("pkg-config", "--libs", "holdfast", env=env))
    run(shared, env={"LD_LIBRARY_PATH": str(lib)})
    assert linked_against_shared(shared) is not False, "the shared consumer does not use the shared library"
    run(*compiler, "-std=c++20", *WARNINGS, *flags, main, "-o", static, "-static",
        *output("pkg-config", "--static", "--libs", "holdfast", env=env))
    run(static)
    assert not linked_against_shared(static), "the static consumer uses the shared library"


def by_cmake(source, build, compiler, temp):
    stage, _, lib = install(build, temp)
    prefix = next(p for p in (lib, *lib.parents) if (p / "include/holdfast").is_dir())
    project, made = temp / "project", temp / "made"
    shutil.copytree(source / "tests/consumer/project", project)
    run("cmake", "-S", project, "-B", made, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={compiler[-1]}", f"-DCMAKE_CXX_FLAGS={' '.join(WARNINGS)}")
    run("cmake", "--build", made)
    run(made / "consumer")
    run(made / "consumer_static")
    assert linked_against_shared(made / "consumer") is not False, "holdfast::holdfast is not the shared library"
    assert not linked_against_shared(made / "consumer_static"), "holdfast::holdfast_static is not static"
    # A version that we are not is refused.
    (project / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.13)\nproject(x LANGUAGES CXX)\n"
                                            "find_package(holdfast 99 REQUIRED)\n")
    refused = subprocess.run(["cmake", "-S", project, "-B", temp / "refused", "-G", "Ninja",
                              f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0 and "99" in refused.stderr, "find_package(holdfast 99) was not refused"


def by_meson(source, _, compiler, temp):
    project, made = temp / "project", temp / "made"
    shutil.copytree(source / "tests/consumer/project", project)
    (project / "subprojects").mkdir()
    (project / "subprojects/holdfast").symlink_to(source, target_is_directory=True)
    run("meson", "setup", made, project, "-Dwarning_level=2", "-Dwerror=true", "-Dcpp_args=-Wconversion -Wshadow",
        env={"CXX": " ".join(compiler)})
    run("ninja", "-C", made, "consumer")
    run(made / "consumer")


def main():
    way, source, build, compiler = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    with tempfile.TemporaryDirectory(prefix="holdfast-consumer-") as temp:
        {"pkg-config": by_pkg_config, "cmake": by_cmake, "meson": by_meson}[way](source, build, compiler, Path(temp))
    print("the consumer was built and run")


if __name__ == "__main__":
    main()
