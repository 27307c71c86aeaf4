"""The small network of matched points in PyTorch, random, to compare speeds."""

from typing import Any

import numpy as np

_WIDTHS = (16, 32, 64, 128)
_CHANNELS = 64


def predictor(num_classes: int) -> Any:
    """uint8 [B, H, W, 3] to raw outputs as of `pdl1_point:small_group`, NumPy."""
    import torch

    network = _network(num_classes).eval()

    def predict(image: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            pixels = torch.from_numpy(image).permute(0, 3, 1, 2)
            pixels = pixels.to(memory_format=torch.channels_last).float() / 255
            return [output.numpy() for output in network((pixels - 0.5) / 0.25)]

    return predict


def _network(num_classes: int) -> Any:
    import torch
    from torch import nn
    from torch.nn import functional

    def norm(width: int) -> Any:
        return nn.GroupNorm(min(32, width // 4), width)

    class Block(nn.Module):
        def __init__(self, before: int, width: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(before, width, 3, stride, 1, bias=False)
            self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.norms = nn.ModuleList((norm(width), norm(width)))
            same = before == width and stride == 1
            shortcut = nn.Conv2d(before, width, 1, stride, bias=False)
            self.shortcut = None if same else nn.Sequential(shortcut, norm(width))

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.norms[0](self.first(x)))
            y = self.norms[1](self.second(y))
            return torch.relu(y + (self.shortcut(x) if self.shortcut else x))

    class Points(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stem: list[Any] = []
            for before in (3, _WIDTHS[0]):
                conv = nn.Conv2d(before, _WIDTHS[0], 3, 2, 1, bias=False)
                stem += [conv, norm(_WIDTHS[0]), nn.ReLU()]
            self.stem = nn.Sequential(*stem)
            pairs = zip((_WIDTHS[0], *_WIDTHS), _WIDTHS, strict=False)
            self.stages = nn.ModuleList(
                Block(before, width, 1 if i == 0 else 2)
                for i, (before, width) in enumerate(pairs)
            )
            self.lateral = nn.ModuleList(nn.Conv2d(w, _CHANNELS, 1) for w in _WIDTHS)
            self.fuse = nn.Conv2d(4 * _CHANNELS, _CHANNELS, 1)
            self.heads = nn.ModuleList(
                nn.Sequential(
                    Block(_CHANNELS, _CHANNELS, 1),
                    Block(_CHANNELS, _CHANNELS, 1),
                    nn.Conv2d(_CHANNELS, number, 1),
                )
                for number in (2, 2, num_classes)
            )

        def forward(self, x: Any) -> list[Any]:
            x = self.stem(x)
            levels = []
            for stage, lateral in zip(self.stages, self.lateral, strict=True):
                x = stage(x)
                levels.append(lateral(x))
            levels[0] = functional.avg_pool2d(levels[0], 4)
            levels[1] = functional.avg_pool2d(levels[1], 2)
            levels[3] = functional.interpolate(levels[3], scale_factor=2.0)
            joined = torch.relu(self.fuse(torch.cat(levels, dim=1)))
            return [head(joined) for head in self.heads]

    return Points().to(memory_format=torch.channels_last)
