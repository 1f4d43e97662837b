"""Where tensors live: the CPU, or a CUDA device where torch sees one."""

from __future__ import annotations

import torch

from sharpap.errors import ConfigError


def resolve(device: str) -> torch.device:
    """The torch device of a setting.

    Args:
        device: "auto" (CUDA where there is some), "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: another word, or CUDA where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    if device != "cpu" and (kind != "cuda" or not (number.isdigit() or device == "cuda")):
        raise ConfigError(f"device={device!r} is none of auto, cpu, cuda, cuda:N.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device={device!r}: torch sees {torch.cuda.device_count()} CUDA devices here.",
            hint='Take device="auto" or "cpu", or install a CUDA build of torch.',
        )
    return torch.device(device)
