"""Ring buffers: records that programs sent."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

from pyxdp.bpf._raw import check, errno_of, ffi, lib
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from pyxdp.bpf._map import Map


class RingBuffer:
    """Reads a RINGBUF map; Linux 5.8. One reader at a time: reading takes records out.

    The map may be closed while the ring buffer is open.
    """

    def __init__(self, ring: Map) -> None:
        self._handle = ffi.new_handle(self)
        self._callback: Callable[[bytes], object] = bytes
        self._raised: BaseException | None = None
        self._raw = lib.ring_buffer__new(ring.fileno(), lib.pyxdp_sample, self._handle, ffi.NULL)
        if not self._raw:
            raise BpfError(ffi.errno, f"can not read {ring!r} as a ring buffer")

    def read(self, callback: Callable[[bytes], object], timeout: float | None = 0.0) -> int:
        """Call ``callback`` with each record that is there, oldest first.

        Args:
            callback: gets the bytes of one record. If it raises, reading ends and the exception is raised here; the
                record is taken out.
            timeout: seconds to wait for the first record if none is there; ``None`` waits for ever.

        Returns:
            How many records were read; 0 when the time was over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._callback = callback
        count = self._finish(lib.ring_buffer__consume(self._ring))
        while not count:
            left = -1 if deadline is None else round(1000 * (deadline - time.monotonic()))
            if deadline is not None and left <= 0:
                return 0
            count = self._finish(lib.ring_buffer__poll(self._ring, left))
        return count

    def records(self, timeout: float | None = 0.0) -> list[bytes]:
        """Return the records that are there, oldest first; waits as :meth:`read`."""
        records: list[bytes] = []
        self.read(records.append, timeout)
        return records

    def close(self) -> None:
        """Stop reading; a second call does nothing."""
        raw, self._raw = self._raw, None
        if raw:
            lib.ring_buffer__free(raw)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _ring(self) -> Any:
        if not self._raw:
            raise ValueError("operation on a closed ring buffer")
        return self._raw

    def _finish(self, result: int) -> int:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        # A signal ends the wait: Python's handlers run before the next one begins, as in Python's own calls (PEP 475).
        return 0 if result < 0 and errno_of(result) == errno.EINTR else check(result, "can not read the ring buffer")

    def _sample(self, record: bytes) -> int:
        try:
            self._callback(record)
        except BaseException as error:  # noqa: BLE001 -- an exception can not cross C; read() raises it
            self._raised = error
            return -1
        return 0


@ffi.def_extern()
def pyxdp_sample(context: Any, data: Any, size: int) -> int:
    """Hand a record from C to the ring buffer that reads."""
    ring: RingBuffer = ffi.from_handle(context)
    return ring._sample(bytes(ffi.buffer(data, size)))  # noqa: SLF001 -- the other half of the class above
