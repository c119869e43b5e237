"""Builds what setuptools does not know: the BPF object, by CMake, and the cffi modules. See also pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cffi import FFI
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
#: As linux/types.h has them: uint64_t is another type than __u64, and gcc 14 takes no pointer to the one for the other.
FIXED_WIDTH_TYPES = (
    "typedef uint8_t __u8; typedef uint16_t __u16; typedef uint32_t __u32; typedef unsigned long long __u64;"
)


class BuildNative(build_ext):
    """CMake first, then a C file for each cffi module from the declarations that CMake left, then the compiler."""

    def run(self) -> None:
        """Build in place for an editable installation, otherwise into the wheel."""
        tree = ROOT if self.inplace else Path(self.build_lib).resolve()
        self.cmake_folder = ROOT / "build" if self.inplace else Path(self.build_temp).resolve() / "cmake"
        _run(
            "cmake",
            *("-S", str(ROOT), "-B", str(self.cmake_folder)),
            f"-DPYXDP_PACKAGE_DIR={tree / 'pyxdp'}",
            f"-DPYXDP_BPF_OBJECT={os.environ.get('PYXDP_BPF_OBJECT', '')}",
            f"-DPYXDP_TEST_OBJECTS={'ON' if self.inplace else 'OFF'}",
        )
        _run("cmake", "--build", str(self.cmake_folder))
        super().run()

    def build_extension(self, ext: Extension) -> None:
        """Let cffi write the module's C file."""
        ffi = FFI()
        if ext.name == "pyxdp._abi":
            ffi.cdef(FIXED_WIDTH_TYPES + (self.cmake_folder / "abi.cdef.h").read_text())
            ffi.set_source(ext.name, "#include <linux/types.h>\n#include <pyxdp/abi.h>")
        else:
            ffi.cdef(FIXED_WIDTH_TYPES + (ROOT / "pyxdp/bpf/libbpf.cdef.h").read_text())
            ffi.set_source(ext.name, "#include <libbpf_shim.h>")
        source = Path(self.build_temp, f"{ext.name}.c")
        source.parent.mkdir(parents=True, exist_ok=True)
        ffi.emit_c_code(str(source))
        ext.sources = [str(source)]
        super().build_extension(ext)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True)  # noqa: S603 -- the commands above
    except FileNotFoundError:
        sys.exit(f"error: {command[0]} was not found\nhint: install the package {command[0]}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {command[0]} failed with status {error.returncode}; its output above says why")


setup(
    cmdclass={"build_ext": BuildNative},
    ext_modules=[
        Extension("pyxdp._abi", [], include_dirs=["include"], depends=["include/pyxdp/abi.h"], py_limited_api=True),
        Extension(
            "pyxdp._libbpf",
            [],
            include_dirs=["pyxdp/bpf"],
            depends=["pyxdp/bpf/libbpf.cdef.h", "pyxdp/bpf/libbpf_shim.h"],
            libraries=["bpf"],
            py_limited_api=True,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
