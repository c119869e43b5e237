"""Long lists of prefixes, one a line, taken out of a text before libyaml sees it.

libyaml and the tree need ten microseconds for each value, and feeds have a million. A *run* is a row of lines that are
alike but for one word each::

      - 10.0.0.0/8              - "10.0.0.0/8"              "10.0.0.0/8",
      - 192.0.2.7               - "192.0.2.7"               "192.0.2.7",

Of these the shortened text keeps the first. If that turns out to be an item of a list, so are the others: a word of
such letters is a plain scalar as it stands, the next line is not indented further, and so nothing on it can belong to
this one; what follows a comma and a quoted word in a list is again an item. :mod:`pyxdp.manifest.compose` makes sure
that it is, and takes the text as it was if there is any doubt, or anything wrong with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.nodes import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Lines that are worth it. More than a list in a rule may have.
MIN_LINES: Final = 300

# Not a colon at the end: `fe80::` on its own is a key.
_WORD: Final = r"[0-9A-Fa-f.:/]+(?<!:)"
# A limit on the repetition is one on the memory that matching takes.
_LINES: Final = re.compile(
    rf"^(?P<before> *(?:- +[\"']?|\"))(?P<word>{_WORD})(?P<behind>[\"']?,?\r?\n)"
    rf"(?:(?P=before){_WORD}(?P=behind)){{0,4095}}",
    re.MULTILINE,
)
#: What stands in front of the word and behind it, blanks left out.
_STYLES: Final = frozenset({("-", ""), ('-"', '"'), ("-'", "'"), ('"', '",')})
#: What YAML takes for the end of a line beside the usual.
_OTHER_BREAKS: Final = ("\x85", "\u2028", "\u2029")


@dataclass(frozen=True, slots=True)
class Found:
    """A run and its place.

    Attributes:
        run: what it stands for.
        word: of its first line.
        line: of its first line in the shortened text, from 0.
        begin: where its second line begins in the text.
        end: where the line behind it begins.
    """

    run: Run
    word: str
    line: int
    begin: int
    end: int


def find_runs(text: str) -> list[Found]:
    """Return the runs of a text, in order; none when lines can not be counted by their newlines."""
    if text.count("\r") != text.count("\r\n") or any(mark in text for mark in _OTHER_BREAKS):
        return []
    found: list[Found] = []
    line = offset = left_out = 0
    for match, end in _rows(text):
        line += text.count("\n", offset, match.start())
        offset = match.start()
        count = text.count("\n", offset, end)
        if count >= MIN_LINES:
            before, behind = match["before"], match["behind"]
            words = text[offset + len(before) : end - len(behind)].replace(behind + before, "\n") + "\n"
            quoted = behind[0] in "\"'"
            run = Run(line + 1, len(before) + (not quoted), words, count, quoted)
            found.append(Found(run, match["word"], line - left_out, match.end("behind"), end))
            left_out += count - 1
    return found


def shortened(text: str, runs: Sequence[Found]) -> str:
    """Return the text without all but the first line of each run."""
    begins = [0, *(found.end for found in runs)]
    ends = [*(found.begin for found in runs), len(text)]
    return "".join(text[begin:end] for begin, end in zip(begins, ends, strict=True))


def _rows(text: str) -> Iterator[tuple[re.Match[str], int]]:
    """Yield rows of lines that are alike: a match of the first ones, and where the last one ends."""
    match = _LINES.search(text)
    while match:
        first, end = match, match.end()
        match = _LINES.match(text, end)
        while match and match["before"] == first["before"] and match["behind"] == first["behind"]:
            end = match.end()
            match = _LINES.match(text, end)
        if (first["before"].replace(" ", ""), first["behind"].rstrip("\r\n")) in _STYLES:
            yield first, end
        match = match or _LINES.search(text, end)
