"""BPF objects: ELF files with programs, maps and constants."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pyxdp.bpf._log import decisive_line, first_message, program_of, verifier_lines
from pyxdp.bpf._map import Map
from pyxdp.bpf._program import Program
from pyxdp.bpf._raw import PRIVILEGES_HINT, allow_locked_memory, captured_log, check, errno_of, ffi, lib
from pyxdp.errors import BpfError, MapIncompatibleError, VerifierError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


class ObjectMap(Map):
    """A map of an object: before :meth:`Object.load` a plan, after it a :class:`Map`."""

    def __init__(self, raw: Any) -> None:
        super().__init__(-1)
        self._raw = raw
        self.name = ffi.string(lib.bpf_map__name(raw)).decode()

    @property
    def max_entries(self) -> int:
        """How many elements the map has or will have; may be set before the object is loaded."""
        return lib.bpf_map__max_entries(self._plan) if self._raw else self.info.max_entries

    @max_entries.setter
    def max_entries(self, entries: int) -> None:
        what = f"can not give map {self.name!r} {entries} elements"
        check(lib.bpf_map__set_max_entries(self._plan, entries), what)

    def reuse(self, existing: Map) -> None:
        """Let the programs use a map that exists, instead of a new one. Its number of elements is taken over.

        Raises:
            MapIncompatibleError: type, key, value or flags differ; the message lists each.
        """
        info = existing.info
        wanted = {
            "type": (lib.shim_map_type(self._plan), int(info.type)),
            "key_size": (lib.bpf_map__key_size(self._plan), info.key_size),
            "value_size": (lib.bpf_map__value_size(self._plan), info.value_size),
            "flags": (lib.bpf_map__map_flags(self._plan), info.flags),
        }
        differences = [f"{name} {there}, not {here}" for name, (here, there) in wanted.items() if here != there]
        if differences:
            what = f"can not use map {info.name!r} (id {info.id}) as {self.name!r}: it has {', '.join(differences)}"
            raise MapIncompatibleError(errno.EINVAL, what)
        check(lib.bpf_map__reuse_fd(self._plan, existing.fileno()), f"can not use a map that exists as {self.name!r}")

    def fileno(self) -> int:
        """Return the file descriptor.

        Raises:
            ValueError: the object is not loaded yet, or closed.
        """
        if self._raw:
            raise ValueError(f"map {self.name!r} does not exist before its object is loaded")
        return super().fileno()

    @property
    def _plan(self) -> Any:
        if not self._raw:
            raise ValueError(f"map {self.name!r} can not be changed once its object is loaded")
        return self._raw

    def _loaded(self) -> None:
        self._fd, self._raw = os.dup(lib.bpf_map__fd(self._raw)), None


class ObjectProgram(Program):
    """A program of an object: before :meth:`Object.load` a plan, after it a :class:`Program`."""

    def __init__(self, raw: Any) -> None:
        super().__init__(-1)
        self._raw = raw
        self.name = ffi.string(lib.bpf_program__name(raw)).decode()
        self.section = ffi.string(lib.bpf_program__section_name(raw)).decode()

    @property
    def autoload(self) -> bool:
        """Whether :meth:`Object.load` loads the program; may be set before."""
        return bool(lib.bpf_program__autoload(self._raw)) if self._raw else self._fd >= 0

    @autoload.setter
    def autoload(self, value: bool) -> None:
        if not self._raw:
            raise ValueError(f"program {self.name!r} can not be changed once its object is loaded")
        check(lib.bpf_program__set_autoload(self._raw, value), f"program {self.name!r}")

    def fileno(self) -> int:
        """Return the file descriptor.

        Raises:
            ValueError: the object is not loaded yet, or closed, or ``autoload`` was off.
        """
        if self._fd < 0:
            raise ValueError(f"program {self.name!r} is not loaded")
        return super().fileno()

    def _loaded(self) -> None:
        fd = lib.bpf_program__fd(self._raw)
        self._fd, self._raw = os.dup(fd) if fd >= 0 else -1, None


class ReadOnlyData:
    """The ``const volatile`` integers and booleans of an object by name, to be set before it is loaded.

    The verifier then treats them as constants: code that they switch off is removed.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> int:
        """Return the value, as an unsigned number.

        Raises:
            KeyError: the object has no such variable.
        """
        return int.from_bytes(self._variable(name), sys.byteorder)

    def __setitem__(self, name: str, value: int) -> None:
        """Set the value.

        Raises:
            KeyError: the object has no such variable.
            OverflowError: the value does not fit the variable's size.
        """
        variable = self._variable(name)
        variable[:] = value.to_bytes(len(variable), sys.byteorder, signed=value < 0)

    def _variable(self, name: str) -> memoryview:
        if not self._raw:
            raise ValueError(f"constant {name!r} is part of the program once its object is loaded")
        found = ffi.new("struct shim_variable *")
        if lib.shim_rodata_variable(self._raw, name.encode(), found) < 0:
            raise KeyError(name)
        size = ffi.new("size_t *")
        section = lib.bpf_map__initial_value(found.map, size)
        return memoryview(ffi.buffer(section, size[0]))[found.offset : found.offset + found.size]

    def _loaded(self) -> None:
        self._raw = None


class Object:
    """An ELF file with BPF programs and maps.

    Open it, change what is to be changed, load it; then its maps and programs are open, until the object is closed::

        with Object.open("filter.bpf.o") as obj:
            obj.maps["rules"].max_entries = 1000
            obj.rodata["verbose"] = True
            obj.load()
            link = obj.programs["filter"].attach_xdp(ifindex)

    Attributes:
        name: of the file, without ``.bpf.o``.
        maps: by name, those that the compiler made for global variables included.
        programs: by name.
        rodata: constants.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        with captured_log() as log:
            self._raw = lib.shim_open(ffi.from_buffer(data), len(data), name.encode())
            number = errno_of(-ffi.errno)
        if not self._raw:
            raise BpfError(
                number, f"{name}: {first_message(log) or 'no BPF object'}", hint="is it an ELF file for BPF?"
            )
        self.maps: Mapping[str, ObjectMap] = MappingProxyType({m.name: m for m in map(ObjectMap, self._list("map"))})
        self.programs: Mapping[str, ObjectProgram] = MappingProxyType(
            {program.name: program for program in map(ObjectProgram, self._list("program"))}
        )
        self.rodata = ReadOnlyData(self._raw)

    @classmethod
    def open(cls, source: str | os.PathLike[str] | bytes, *, name: str = "") -> Self:
        """Parse an object; nothing is asked of the kernel.

        Args:
            source: path of the file, or its content.
            name: what the object is called in messages and in the names of maps for global variables.

        Raises:
            OSError: the file can not be read.
            BpfError: it is no BPF object.
        """
        if isinstance(source, bytes):
            return cls(source, name or "object")
        return cls(Path(source).read_bytes(), name or Path(source).name.removesuffix(".o").removesuffix(".bpf"))

    def load(self) -> Self:
        """Create the maps and load the programs.

        Returns:
            The object itself.

        Raises:
            VerifierError: a program was rejected; has the verifier's whole log.
            BpfError: a map or something else was refused.
        """
        if not self._raw:
            raise ValueError(f"object {self.name!r} is loaded or closed")
        allow_locked_memory()
        with captured_log() as log:
            result = lib.bpf_object__load(self._raw)
            number = errno_of(result)
        if result < 0:
            raise _load_error(number, self.name, log)
        parts: tuple[ObjectMap | ObjectProgram | ReadOnlyData, ...]
        parts = (*self.maps.values(), *self.programs.values(), self.rodata)
        for part in parts:
            part._loaded()  # noqa: SLF001 -- parts of this object, in this module
        # Every fd is duplicated: libbpf's own and the ELF file are not needed any more.
        self._close_raw()
        return self

    def close(self) -> None:
        """Close every map and program; what is pinned, attached or used by another stays."""
        self._close_raw()
        for part in (*self.maps.values(), *self.programs.values()):
            part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_raw", None):
            warnings.warn(f"object {self.name!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self._close_raw()

    def _close_raw(self) -> None:
        raw, self._raw = self._raw, None
        if raw:
            lib.bpf_object__close(raw)

    def _list(self, kind: Literal["map", "program"]) -> list[Any]:
        list_all = lib.shim_maps if kind == "map" else lib.shim_programs
        count = list_all(self._raw, ffi.NULL, 0)
        found = ffi.new(f"struct bpf_{kind} *[]", count)
        list_all(self._raw, found, count)
        return list(found)


def _load_error(number: int, name: str, log: list[str]) -> BpfError:
    verdict = verifier_lines(log)
    if verdict:
        what = f"{name}: program {program_of(log)!r} was rejected by the verifier: {decisive_line(verdict)}"
        return VerifierError(number, what, log=verdict)
    hint = PRIVILEGES_HINT if number == errno.EPERM else ""
    return BpfError(number, f"{name}: {first_message(log) or 'can not be loaded'}", hint=hint)
