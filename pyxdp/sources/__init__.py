"""Where policy comes from, and what of it is good.

Sources watch something and deliver texts: :class:`FolderSource` files. A :class:`Store` takes the texts and gives
resources: of each object the last version that was right, so that a mistake never opens a hole.
"""

from __future__ import annotations

from pyxdp.sources.folder import FolderSource
from pyxdp.sources.store import Store, StoredProblem, texts_at
from pyxdp.sources.text import Deliver, Delivery, Source, Text

__all__ = ["Deliver", "Delivery", "FolderSource", "Source", "Store", "StoredProblem", "Text", "texts_at"]
