"""What the RQ job of an execution calls: one function, with the execution's id (pure).

RQ keeps a call as a pickle of ``(function, instance, args, kwargs)``. Redis keeps a hash in one
piece while none of its values is longer than 64 bytes, which halves its memory and spares the time
to free its parts. So the call has 64: it is spelt without the protocol and frame that pickle would
put in front, for which no reader asks, and the function has a short name.
"""

from __future__ import annotations

import pickle

ENTRY_POINT = "butler_workers.run"
ID_LENGTH = 36


def _text(length: int) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([length])


BEFORE_ID = (
    pickle.MARK + _text(len(ENTRY_POINT)) + ENTRY_POINT.encode() + pickle.NONE + _text(ID_LENGTH)
)
AFTER_ID = pickle.TUPLE1 + pickle.EMPTY_DICT + pickle.TUPLE + pickle.STOP
