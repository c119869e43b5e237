"""Names in a bpffs."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pyxdp.bpf._raw import pin_error

if TYPE_CHECKING:
    from pyxdp.bpf._raw import Handle


def unpin(path: str | os.PathLike[str]) -> None:
    """Remove a name; the object ends with it if nothing else refers to it.

    Raises:
        PinError: there is no such name, or the bpffs is read-only.
    """
    try:
        Path(path).unlink()
    except OSError as error:
        raise pin_error(path)(error.errno or 0, f"can not remove {path}") from None


def replace_pin(handle: Handle, path: str | os.PathLike[str]) -> None:
    """Pin an object under a name that may be taken: whoever opens it gets the old object or the new one.

    Raises:
        PinError: as :meth:`Handle.pin`; the old pin is still there.
    """
    temporary = Path(f"{os.fspath(path)}-{secrets.token_hex(4)}")
    handle.pin(temporary)
    try:
        temporary.rename(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise pin_error(path)(error.errno or 0, f"can not replace {path}") from None
