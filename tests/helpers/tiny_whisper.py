"""Build a tiny Whisper model with random weights for faster-whisper: `python tiny_whisper.py DIR`.

Its encoder, attention and alignment are random, its text is fixed: the script given to `build`, for any audio. So texts
can be tested exactly, while times come from the model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SCRIPT = (" well,", " hello", " there")
LANGUAGES = ("en", "de", "pl", "zh")
TASKS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
WIDTH, HEADS, LAYERS, MELS, WINDOW, CONTEXT = 64, 2, 2, 80, 1500, 448
MULTILINGUAL = ""  # the token by which CTranslate2 knows a model of many languages
STEP = 30.0  # length of a position's direction; the random layers add about 1
END_S = 2.0  # of the only segment, by the model's own account


def build(folder: Path, script: Sequence[str] = SCRIPT, language: str = "en", seed: int = 20261121) -> Path:
    """Write the model into a new `folder` and return it; the model detects `language` in any audio."""
    folder.mkdir(parents=True, exist_ok=True)
    text, special = _text(script), _special()
    _tokenizer(text, special).save(str(folder / "tokenizer.json"))
    ids = {token: number for number, token in enumerate([*text, *special])}
    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    spec.register_vocabulary(list(ids))
    _fill(spec, np.random.default_rng(seed), len(ids))
    words = ["<|0.00|>", *map(_spelt, script), f"<|{END_S:.2f}|>"]
    _teach(spec, ids[f"<|{language}|>"], [ids[token] for token in (*words, "<|endoftext|>")])
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [ids[f"<|{code}|>"] for code in LANGUAGES]
    spec.config.alignment_heads = [(LAYERS - 1, head) for head in range(HEADS)]
    spec.validate()
    spec.save(str(folder))
    return folder


# --- Tokens, in Whisper's order ---


def _spelt(word: str) -> str:
    """Return a word as in the vocabulary: bytes as printable characters."""
    return "".join(part for part, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(word))


def _text(script: Sequence[str]) -> list[str]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return list(dict.fromkeys([*letters, *map(_spelt, script), MULTILINGUAL]))


def _special() -> list[str]:
    times = (f"<|{0.02 * step:.2f}|>" for step in range(WINDOW + 1))
    return [*(f"<|{name}|>" for name in ("endoftext", "startoftranscript", *LANGUAGES, *TASKS)), *times]


def _tokenizer(text: list[str], special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(text)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return tokenizer


# --- Weights ---


def _fill(spec: WhisperSpec, rng: np.random.Generator, n_tokens: int) -> None:
    """Set random weights in every layer."""

    def some(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def set_linear(part: Any, *shape: int) -> None:
        part.weight, part.bias = some(*shape), np.zeros(shape[0], np.float32)

    set_linear(spec.encoder.conv1, WIDTH, MELS, 3)
    set_linear(spec.encoder.conv2, WIDTH, WIDTH, 3)
    spec.encoder.position_encodings.encodings = some(WINDOW, WIDTH)
    spec.decoder.embeddings.weight = some(n_tokens, WIDTH)
    set_linear(spec.decoder.projection, n_tokens, WIDTH)
    for layer in (*spec.encoder.layer, *spec.decoder.layer):
        set_linear(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
        set_linear(layer.ffn.linear_1, WIDTH, 4 * WIDTH)
        set_linear(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
        set_linear(layer.self_attention.linear[1], WIDTH, WIDTH)
    for layer in spec.decoder.layer:
        for part, n_parts in zip(layer.attention.linear, (1, 2, 1), strict=True):
            set_linear(part, n_parts * WIDTH, WIDTH)
    for norm in _norms(spec):
        norm.gamma, norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def _norms(spec: WhisperSpec) -> Iterator[Any]:
    yield from (spec.encoder.layer_norm, spec.decoder.layer_norm)
    for layer in (*spec.encoder.layer, *spec.decoder.layer):
        yield from (layer.self_attention.layer_norm, layer.ffn.layer_norm)
    yield from (layer.attention.layer_norm for layer in spec.decoder.layer)


def _teach(spec: WhisperSpec, language: int, script: list[int]) -> None:
    """Make each position of the decoder output one token: the first the language, those from the third on the script.

    A position has a direction of its own, far longer than what the random layers add, and its token has the same
    direction in the output. Between them is the prompt of faster-whisper: the language and the task.
    """
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    positions = np.zeros((CONTEXT, WIDTH), np.float32)
    for position, token in zip((0, *range(2, len(script) + 2)), (language, *script), strict=True):
        positions[position] = STEP * directions[position]
        spec.decoder.projection.weight[token] = 3 * directions[position]
    spec.decoder.position_encodings.encodings = positions


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
