"""Requests and results as JSON text, without loss."""

from butler.codec.codec import MAX_BYTES, Codec, ResultCodec

__all__ = ["MAX_BYTES", "Codec", "ResultCodec"]
