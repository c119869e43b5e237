"""Text to resources: YAML and JSON manifests, with every error of every file at once.

>>> from pyxdp.manifest import loads
>>> manifest = loads('''
... apiVersion: projectcalico.org/v3
... kind: GlobalNetworkSet
... metadata: {name: clients, labels: {role: client}}
... spec: {nets: [10.1.0.0/16, 192.0.2.7]}
... ''')
>>> manifest.resources.globalNetworkSets[0].nets
Prefixes(10.1.0.0/16, 192.0.2.7/32)

This is the only layer that reads text, and what it returns is valid: every rule of the resource reference (spec
sections 1, 2.5, 3.3, 8.2 and 8.3) has been applied, defaults are filled in, and no later layer checks again.

``sources``   paths to texts
``runs``      long lists of prefixes, which are left out of the text
``compose``   a text to trees that know their positions
``place``     walking a tree: fields, unknown fields, problems
``readers``, ``names``, ``values``   single values
``rule``, ``policy``, ``endpoint``, ``sets``, ``failsafe``, ``config``   resources
``kinds``     which kinds there are
``items``     the resources of a document, out of Lists
``manifest``  all of them together: duplicates, and checks across resources
``each``      each of them by itself, for who keeps what is right of a text that is not

Limits, each a problem like any other: 128 MiB and 5,000,000 values a file, 100 levels of nesting, 1,000,000 values
repeated through aliases in a document. Of one file at most 10,000 problems are listed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyxdp.manifest.each import Key, Reading, ReadObject, read_each
from pyxdp.manifest.manifest import Collector, Manifest
from pyxdp.manifest.sources import MAX_BYTES, decode, read_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from pyxdp.manifest.sources import Source

__all__ = [
    "MAX_BYTES",
    "Key",
    "Manifest",
    "ReadObject",
    "Reading",
    "load",
    "load_sources",
    "loads",
    "read_each",
    "read_sources",
]


def load(paths: Sequence[str | os.PathLike[str]], *, stdin: TextIO | None = None) -> Manifest:
    """Read manifests from files, folders and standard input.

    Args:
        paths: files of any name; folders, which are searched for ``*.yaml``, ``*.yml`` and ``*.json`` with everything
            below them, hidden names left out; ``-`` for standard input. A file named twice is read once. Documents
            of ``pyxdp test`` are left alone: they may lie beside the policy.
        stdin: what ``-`` reads instead of ``sys.stdin``.

    Returns:
        All resources of all files together.

    Raises:
        ManifestError: something is wrong; holds every problem of every file, files that can not be read included.
    """
    return load_sources(read_sources([paths] if isinstance(paths, str | os.PathLike) else paths, stdin))


def load_sources(sources: Iterable[Source]) -> Manifest:
    """Read manifests from texts that are at hand.

    Args:
        sources: files with their texts, as :func:`read_sources` finds them.

    Returns:
        All resources of all of them together.

    Raises:
        ManifestError: something is wrong; holds every problem of every text.
    """
    collector = Collector()
    for source in sources:
        if source.fault:
            collector.add_fault(source.file, source.fault)
        else:
            collector.add_text(source.file, source.text)
    return collector.finish()


def loads(text: str, *, file: str = "<string>") -> Manifest:
    """Read manifests from text.

    Args:
        text: one or more YAML documents, or JSON.
        file: what problems call it.

    Returns:
        Its resources.

    Raises:
        ManifestError: something is wrong; holds every problem.
    """
    collector = Collector()
    if len(text) > MAX_BYTES:
        source = decode(file, text[: MAX_BYTES + 1].encode("utf-8", "surrogatepass"))
        if source.fault:
            collector.add_fault(file, source.fault)
    else:
        collector.add_text(file, text.removeprefix("\ufeff"))
    return collector.finish()
