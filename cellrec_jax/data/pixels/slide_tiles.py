"""Tiles of TIFF pages: only those of a region are decoded, by several threads at once.

Strips are tiles as wide as the image. Tiles with headers of their own (JPEG, JPEG 2000)
are decoded only if these claim a size that a tile may have.
"""

from collections import OrderedDict
from collections.abc import Sequence
import math
from pathlib import Path
import struct
import threading
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax.data.pixels import tiff_colors
from cellrec_jax.data.pixels.colors import over_white, to_channels
from cellrec_jax.data.pixels.slide_reader import CACHE_BYTES, BadRegion, one_line

MOST_TILE_BYTES = 2**28
"""Of a decoded tile or strip; more is a bomb, or an image that is no slide."""

JPEG = (7,)
_JPEG_2000 = (33003, 33004, 33005, 34712)
COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 34926, 50000, *JPEG, *_JPEG_2000)
"""As TIFF numbers them: none, LZW, deflate, PackBits, deflate, LZMA, zstd (two)."""

_ALPHA = (1, 2)  # values of the extra-samples tag; 1 is premultiplied
_END_OF_JPEG = b"\xff\xd9"
_START_OF_J2K = b"\xff\x4f\xff\x51"


class TileCache:
    """The last used of decoded tiles, by key; for several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held = most_bytes, 0
        self._tiles: OrderedDict[Any, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> np.ndarray | None:
        """A tile that is still there."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def put(self, key: Any, tile: np.ndarray) -> None:
        """Keeps a tile, and forgets those that were not used for longest."""
        with self._lock:
            if key in self._tiles or tile.nbytes > self._most:
                return
            self._tiles[key] = tile
            self._held += tile.nbytes
            while self._held > self._most:
                self._held -= self._tiles.popitem(last=False)[1].nbytes


class TiledPages:
    """The levels of a slide in an open `tifffile.TiffFile`."""

    def __init__(self, path: Path, file: Any, pages: Sequence[Any]) -> None:
        """`pages` are `tifffile.TiffPage`s, finest first."""
        self.pages = tuple(pages)
        self._path, self._stream = epath.Path(path), file.filehandle
        self._lock = threading.Lock()
        self._cache = TileCache(CACHE_BYTES)
        for page in self.pages:
            page.init_decode()

    def read(
        self, level: int, origin_yx: tuple[int, int], size_hw: tuple[int, int]
    ) -> np.ndarray:
        """A region inside of a level; missing tiles are white.

        `BadRegion` where it is damaged, OSError or MemoryError where the machine fails.
        """
        tile_h, tile_w = tile_size(self.pages[level])
        (top, left), (height, width) = origin_yx, size_hw
        region = np.full((height, width, 3), 255, np.uint8)
        for row in range(top // tile_h, math.ceil((top + height) / tile_h)):
            for column in range(left // tile_w, math.ceil((left + width) / tile_w)):
                tile = self._tile(level, row, column)
                if tile is not None:
                    _paste(region, tile, row * tile_h - top, column * tile_w - left)
        return region

    def _tile(self, level: int, row: int, column: int) -> np.ndarray | None:
        """uint8 [h, w, 3]; None where it is missing."""
        tile = self._cache.get((level, row, column))
        if tile is None:
            try:
                tile = self._decoded(self.pages[level], row, column)
            except (OSError, MemoryError):  # of the machine, not of the file
                raise
            # Decoders raise every kind of error, as of images.
            except Exception as error:
                raise BadRegion(
                    f"the tile at row {row}, column {column} is damaged: "
                    f"{one_line(error)}"
                ) from error
            if tile is not None:
                self._cache.put((level, row, column), tile)
        return tile

    def _decoded(self, page: Any, row: int, column: int) -> np.ndarray | None:
        rows, columns = grid_size(page)
        index = row * columns + column
        planes = []
        for plane in range(page.samplesperpixel if page.planarconfig == 2 else 1):
            number = plane * rows * columns + index
            data = self._bytes(page, number)
            if data is None:
                return None
            _check_claim(data, int(page.compression))
            decoded = page.decode(
                data, number, jpegtables=page.jpegtables, jpegheader=page.jpegheader
            )
            planes.append(decoded[0][0])
        samples = np.concatenate(planes, axis=-1) if len(planes) > 1 else planes[0]
        return _to_rgb(self._path, page, samples)

    def _bytes(self, page: Any, number: int) -> bytes | None:
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if not offset or not count:
            return None
        if count > MOST_TILE_BYTES:
            raise ValueError(f"it says that it has {count:,} bytes")
        with self._lock:
            self._stream.seek(offset)
            data = self._stream.read(count)
        if len(data) < count:
            raise ValueError("it is cut off")
        return data


def tile_size(page: Any) -> tuple[int, int]:
    """Height and width of the tiles or strips of a page, px."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return page.rowsperstrip, page.imagewidth


def grid_size(page: Any) -> tuple[int, int]:
    """Rows and columns of tiles."""
    tile_h, tile_w = tile_size(page)
    return math.ceil(page.imagelength / tile_h), math.ceil(page.imagewidth / tile_w)


def num_colors(page: Any) -> int:
    """Samples that are no alpha: 1 or 3; 0 if they are something else."""
    colors = 1 if int(page.photometric) in (0, 1, 3, 4) else 3
    others = page.samplesperpixel - colors
    is_alpha = tuple(page.extrasamples)[:1] in [(value,) for value in _ALPHA]
    known = others == 0 or (others == 1 and (is_alpha or colors == 3))
    return colors if known else 0


def _paste(region: np.ndarray, tile: np.ndarray, top: int, left: int) -> None:
    """Copies what a tile, whose corner is at (top, left), has of a region."""
    part = tile[max(-top, 0) :, max(-left, 0) :]
    target = region[max(top, 0) :, max(left, 0) :]
    height, width = np.minimum(part.shape[:2], target.shape[:2])
    target[:height, :width] = part[:height, :width]


def _to_rgb(path: epath.Path, page: Any, samples: np.ndarray) -> np.ndarray:
    """Samples uint8 [h, w, S] as RGB, transparency on white."""
    count = num_colors(page)
    color = tiff_colors.to_color(path, page, samples[..., :count], [])
    extra = tuple(page.extrasamples)[:1] if samples.shape[-1] > count else ()
    if extra and extra[0] in _ALPHA:
        color = over_white(color, samples[..., count:], extra[0] == 1)
    return to_channels(color, 3)


def _check_claim(data: bytes, compression: int) -> None:
    """Refuses a tile whose own header tells of more than a tile may have, or no end."""
    if compression in JPEG:
        claim = _jpeg_bytes(data)
        if _END_OF_JPEG not in data:  # decoders would fill it up with grey
            raise ValueError("its end is missing")
    elif compression in _JPEG_2000:
        claim = _jpeg_2000_bytes(data)
    else:
        return
    if claim > MOST_TILE_BYTES:
        raise ValueError(f"its header tells of {claim:,} bytes")


def _jpeg_bytes(data: bytes) -> int:
    """Height times width times samples of a JPEG's frame header."""
    at = 2
    while data[at : at + 1] == b"\xff":
        marker, length = struct.unpack_from(">xBH", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, samples = struct.unpack_from(">HHB", data, at + 5)
            return height * width * samples
        at += 2 + length
    raise ValueError("it is no JPEG image")


def _jpeg_2000_bytes(data: bytes) -> int:
    """Height times width times samples of a JPEG 2000 code stream's header."""
    at = data.index(_START_OF_J2K) + 8
    right, bottom, left, top = struct.unpack_from(">4I", data, at)
    (samples,) = struct.unpack_from(">H", data, at + 32)
    return (right - left) * (bottom - top) * samples
