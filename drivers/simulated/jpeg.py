"""Tiny grey JPEG pictures, coded here: a wall clock in large digits over picture noise.

Knows ITU-T T.81 (baseline, one component). Must not know files, clips or cameras. Every 8x8 block ends
with a restart marker (T.81 §B.2.1), so that blocks are independent byte strings which can be coded once
and laid together for each frame: that makes gigabytes of distinct, decodable frames in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

BLOCK_PIXELS = 8
TEXT_WIDTH_BLOCKS = 40
TEXT_HEIGHT_BLOCKS = 9

_VARIANTS = 16
_DARK, _MIDDLE, _LIGHT = 0, 1, 2
_DC_LEVELS = (-480, -160, 400)
"""DC coefficients for dark, middle and light with a quantiser of 1; ±1024 is black and white (T.81 §A.3.1)."""
_RESTARTS = tuple(bytes((0xFF, 0xD0 + index)) for index in range(8))

_END_OF_IMAGE = b"\xff" * 16 + b"\xff\xd9"
"""EOI after fill bytes (T.81 §B.1.1.2): some readers that skip a scan look for it only every few bytes."""

_DIGITS = {
    "0": "####.##.##.####",
    "1": ".#..#..#..#..#.",
    "2": "###..#####..###",
    "3": "###..####..####",
    "4": "#.##.####..#..#",
    "5": "####..###..####",
    "6": "####..####.####",
    "7": "###..#..#..#..#",
    "8": "####.#####.####",
    "9": "####.####..####",
    ":": "....#.....#....",
}
"""3 x 5 dots each, row by row."""


@dataclass(frozen=True, slots=True)
class Texture:
    """How much noise a block carries: `coefficients` (0 to 63) AC values of `bits` (1 to 10) bits each."""

    coefficients: int
    bits: int

    @property
    def block_bytes(self) -> int:
        """Average coded size of one block with its restart marker, stuffing included."""
        coded_bits = 15 + self.coefficients * (4 + self.bits) + 4
        return round(coded_bits / 8 * (1 + 1 / 256)) + 2


class FrameCoder:
    """Codes frames of one clip. The same seed, size and texture give the same bytes for the same frame."""

    def __init__(self, seed: int, *, width_blocks: int, height_blocks: int, texture: Texture) -> None:
        """The picture is at least `TEXT_WIDTH_BLOCKS` by `TEXT_HEIGHT_BLOCKS` blocks of 8 pixels."""
        if width_blocks < TEXT_WIDTH_BLOCKS or height_blocks < TEXT_HEIGHT_BLOCKS:
            raise ValueError("the picture is too small for its clock")
        self.width_pixels = width_blocks * BLOCK_PIXELS
        self.height_pixels = height_blocks * BLOCK_PIXELS
        self._width_blocks = width_blocks
        self._blocks = width_blocks * height_blocks
        self._random = random.Random(seed)  # noqa: S311 - picture noise that can be repeated, no secret
        self._pool = _block_pool(self._random, texture)
        self._header = _header(self.width_pixels, self.height_pixels)

    def frame(self, clock_text: str) -> bytes:
        """One JPEG picture showing `clock_text` (digits and colons, at most ten)."""
        levels = self._levels(clock_text)
        noise = self._random.randbytes(self._blocks)
        pool = self._pool
        coded = [
            pool[level][restart][grain & (_VARIANTS - 1)]
            for level, grain, restart in zip(levels, noise, cycle(range(8)), strict=False)
        ]
        coded[-1] = coded[-1][:-2]  # no restart marker after the last block
        return b"".join((self._header, *coded, _END_OF_IMAGE))

    def _levels(self, clock_text: str) -> bytearray:
        levels = bytearray([_MIDDLE]) * self._blocks
        for row in range(TEXT_HEIGHT_BLOCKS):
            start = row * self._width_blocks
            levels[start : start + TEXT_WIDTH_BLOCKS] = bytes([_DARK]) * TEXT_WIDTH_BLOCKS
        for index, character in enumerate(clock_text[:10]):
            for dot, mark in enumerate(_DIGITS.get(character, "." * 15)):
                if mark == "#":
                    row, column = 2 + dot // 3, index * 4 + dot % 3 + 1
                    levels[row * self._width_blocks + column] = _LIGHT
        return levels


def _block_pool(source: random.Random, texture: Texture) -> Sequence[Sequence[Sequence[bytes]]]:
    """Coded blocks, by level, by restart index, by variant."""
    plain = [[_coded_block(source, dc, texture) for _ in range(_VARIANTS)] for dc in _DC_LEVELS]
    return [[[block + restart for block in variants] for restart in _RESTARTS] for variants in plain]


def _coded_block(source: random.Random, dc: int, texture: Texture) -> bytes:
    """One block: DC difference from zero (a restart resets it), AC values, end of block; T.81 §F.1.2."""
    bits = _BitText()
    size = dc.bit_length()
    bits.add(size, 4)
    bits.add_value(dc, size)
    for _ in range(texture.coefficients):
        magnitude = source.randrange(1 << (texture.bits - 1), 1 << texture.bits)
        bits.add(_AC_SYMBOLS.index(texture.bits), 4)
        bits.add_value(magnitude if source.random() < 0.5 else -magnitude, texture.bits)
    if texture.coefficients < 63:
        bits.add(_AC_SYMBOLS.index(0), 4)
    return bits.to_bytes()


class _BitText:
    """Bits, most significant first, padded with ones and byte-stuffed (T.81 §F.1.2.3)."""

    def __init__(self) -> None:
        self._value = 1  # a leading one keeps leading zeros
        self._length = 0

    def add(self, value: int, length: int) -> None:
        self._value = self._value << length | value
        self._length += length

    def add_value(self, value: int, size: int) -> None:
        """A signed value in its category of `size` bits: negatives as value - 1, low bits (§F.1.2.1)."""
        self.add(value if value >= 0 else value + (1 << size) - 1, size)

    def to_bytes(self) -> bytes:
        padding = -self._length % 8
        padded = self._value << padding | (1 << padding) - 1
        count = (self._length + padding) // 8
        raw = (padded & (1 << count * 8) - 1).to_bytes(count, "big")
        return raw.replace(b"\xff", b"\xff\x00")


_DC_SYMBOLS = tuple(range(12))
_AC_SYMBOLS = tuple(range(11))
"""Run 0 with sizes 1 to 10, and 0: end of block. Our own Huffman tables: every code is four bits long."""


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def _huffman_table(destination: int, symbols: Sequence[int]) -> bytes:
    lengths = bytes((0, 0, 0, len(symbols), *[0] * 12))
    return _segment(0xC4, bytes((destination,)) + lengths + bytes(symbols))


def _header(width_pixels: int, height_pixels: int) -> bytes:
    """Everything before the coded blocks: SOI, JFIF, DQT, SOF0, DHT, DRI, SOS."""
    jfif = b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"
    frame = b"\x08" + height_pixels.to_bytes(2, "big") + width_pixels.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, jfif),
            _segment(0xDB, b"\x00" + b"\x01" * 64),
            _segment(0xC0, frame),
            _huffman_table(0x00, _DC_SYMBOLS),
            _huffman_table(0x10, _AC_SYMBOLS),
            _segment(0xDD, b"\x00\x01"),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
        )
    )
