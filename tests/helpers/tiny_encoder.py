"""A small random Whisper encoder in the layout of the public checkpoint, and its blocks in NumPy as a reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import erf

WIDTH, HEADS, HIDDEN, N_MELS, POSITIONS = 16, 2, 32, 80, 200


def write_checkpoint(
    folder: Path, n_blocks: int = 4, prefix: str = "model.encoder.", seed: int = 0, width: int = WIDTH
) -> Path:
    """Write `config.json` and `model.safetensors` with random weights at half precision, beside one of a decoder."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (width, N_MELS, 3),
        "conv1.bias": (width,),
        "conv2.weight": (width, width, 3),
        "conv2.bias": (width,),
        "embed_positions.weight": (POSITIONS, width),
    }
    for number in range(n_blocks):
        layer = f"layers.{number}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{layer}self_attn.{name}.weight"] = (width, width)
            if name != "k_proj":
                shapes[f"{layer}self_attn.{name}.bias"] = (width,)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{layer}{name}.weight": (width,), f"{layer}{name}.bias": (width,)}
        shapes |= {f"{layer}fc1.weight": (HIDDEN, width), f"{layer}fc1.bias": (HIDDEN,)}
        shapes |= {f"{layer}fc2.weight": (width, HIDDEN), f"{layer}fc2.bias": (width,)}
    weights = {
        prefix + name: rng.normal(0, 0.5 * (WIDTH / width) ** 0.5, shape).astype(np.float16)
        for name, shape in shapes.items()
    }
    weights["model.decoder.layers.0.fc1.weight"] = np.zeros((4, 4), np.float16)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    config = {"d_model": width, "encoder_attention_heads": HEADS, "num_mel_bins": N_MELS, "encoder_layers": n_blocks}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def reference(folder: Path, log_mel: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """Return the statistics of the blocks for one spectrogram, in NumPy at double precision."""
    weights = {name.split("encoder.", 1)[-1]: value.astype(np.float64) for name, value in _load(folder).items()}
    n_heads = json.loads((folder / "config.json").read_text())["encoder_attention_heads"]
    x = _gelu(_convolution(log_mel, weights, "conv1", 1))
    x = _gelu(_convolution(x, weights, "conv2", 2)).T
    x = x + weights["embed_positions.weight"][: len(x)]
    statistics = []
    for number in range(max(blocks)):
        layer = f"layers.{number}."
        x = x + _attention(_normalised(x, weights, f"{layer}self_attn_layer_norm"), weights, layer, n_heads)
        hidden = _gelu(_linear(_normalised(x, weights, f"{layer}final_layer_norm"), weights, f"{layer}fc1"))
        x = x + _linear(hidden, weights, f"{layer}fc2")
        if number + 1 in blocks:
            statistics += [x.mean(axis=0), x.std(axis=0)]
    return np.concatenate(statistics)


def _load(folder: Path) -> dict[str, np.ndarray]:
    return {name: value for name, value in load_file(folder / "model.safetensors").items() if "decoder" not in name}


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def _convolution(x: np.ndarray, weights: dict, layer: str, stride: int) -> np.ndarray:
    """Return a convolution of width 3 over time, zero-padded: (n_in, n) to (n_out, n / stride)."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1))), 3, axis=1)[:, ::stride]
    return np.einsum("ock,cnk->on", weights[f"{layer}.weight"], frames) + weights[f"{layer}.bias"][:, None]


def _linear(x: np.ndarray, weights: dict, layer: str) -> np.ndarray:
    return x @ weights[f"{layer}.weight"].T + weights.get(f"{layer}.bias", 0)


def _normalised(x: np.ndarray, weights: dict, layer: str) -> np.ndarray:
    deviation = x - x.mean(axis=1, keepdims=True)
    scaled = deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + 1e-5)
    return scaled * weights[f"{layer}.weight"] + weights[f"{layer}.bias"]


def _attention(x: np.ndarray, weights: dict, layer: str, n_heads: int) -> np.ndarray:
    query, key, value = (
        _linear(x, weights, f"{layer}self_attn.{name}").reshape(len(x), n_heads, -1).transpose(1, 0, 2)
        for name in ("q_proj", "k_proj", "v_proj")
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    attention = np.exp(scores - scores.max(axis=-1, keepdims=True))
    attention /= attention.sum(axis=-1, keepdims=True)
    mixed = (attention @ value).transpose(1, 0, 2).reshape(len(x), -1)
    return _linear(mixed, weights, f"{layer}self_attn.out_proj")
