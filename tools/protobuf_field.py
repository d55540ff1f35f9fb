# SPDX-License-Identifier: Apache-2.0
"""As much of protobuf as the makers of golden values need."""


def field(message, wanted):
    """The bytes of a field of a protobuf."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            shift += 7
            at += 1
            if message[at - 1] < 128:
                return value, at
    at = 0
    while at < len(message):
        key, at = varint(at)
        size = {1: 8, 5: 4}.get(key & 7)
        if size is None:
            value, after = varint(at)
            at, size = (after, value) if key & 7 == 2 else (after, 0)
        if key >> 3 == wanted:
            return message[at:at + size]
        at += size
    return b""
