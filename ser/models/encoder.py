"""The lower blocks of Whisper's encoder as an ONNX graph, built from a checkpoint in the public layout."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser.models.graphs import store_half
from ser.types import ParameterError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PUBLISHED_AT = "https://huggingface.co/openai/whisper-base"
INPUT, OUTPUT = "log_mel", "statistics"
OPSET, IR_VERSION = 20, 10
EPSILON = 1e-5  # of the layer normalisations


def build_encoder(folder: str | Path, path: Path, blocks: Sequence[int], *, precision: str = "int8") -> None:
    """Write the graph from log-mel spectrograms (n, 80, n_frames) to statistics (n, 2 * width * len(blocks)).

    For each of the `blocks`, counted from 1, the mean over time of its outputs, then the standard deviation. The
    spectrograms may have any length up to that of the checkpoint's positions, 30 s. `folder` holds `config.json` and
    `model.safetensors` of a Whisper checkpoint. `precision` is "float32", or "int8": the weights of the blocks as
    integers of 7 bits (with 8, older processors overflow and answer differently), other large constants at half
    precision. The graph is written beside `path`, then renamed. Raises `ParameterError` if the folder is no such
    checkpoint, is incomplete, or has too few blocks.
    """
    import onnx

    config, weights = _checkpoint(Path(folder), max(blocks))
    try:
        model = _Builder(config, weights).model(blocks)
    except (KeyError, ArithmeticError) as error:  # a weight that is missing, no heads
        raise ParameterError(
            f"{folder} is an incomplete Whisper checkpoint ({type(error).__name__}: {error}). Fetch it again from "
            f"{PUBLISHED_AT}."
        ) from error
    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory(dir=path.parent) as aside:
        graph = Path(aside, path.name)
        onnx.save(model, graph)
        if precision == "int8":
            _quantize(graph)
        graph.replace(path)


def _quantize(path: Path) -> None:
    """Rewrite a graph with the weights of its products as integers of 7 bits, and others at half precision."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        path, path, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
    )
    store_half(path)


def _checkpoint(folder: Path, n_blocks: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the configuration, and the weights up to a block as float32, named as within the encoder."""
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS, "np") as file:
            prefix = _prefix(file.keys())
            names = [name for name in file.keys() if name.startswith(prefix) and _block(name) <= n_blocks]  # noqa: SIM118
            weights = {name.removeprefix(prefix): file.get_tensor(name).astype(np.float32) for name in names}
        known = {key: int(config[key]) for key in ("d_model", "encoder_attention_heads", "num_mel_bins")}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, StopIteration) as error:
        found = f"{type(error).__name__}: {error}".rstrip(": ")
        raise ParameterError(
            f"{folder} is no Whisper checkpoint: expected {CONFIG} and {WEIGHTS} as at {PUBLISHED_AT}; found {found}."
        ) from error
    n_found = max(map(_block, weights))
    if n_found < n_blocks:
        raise ParameterError(f"{folder} holds {n_found} blocks of an encoder; block {n_blocks} is needed.")
    return known, weights


def _prefix(names: Collection[str]) -> str:
    """Return what precedes the names of the encoder: `model.encoder.` in the public checkpoint."""
    return next(name for name in names if name.endswith("encoder.conv1.weight")).removesuffix("conv1.weight")


def _block(name: str) -> int:
    """Return the number of the block that a weight belongs to, counted from 1; 0 for those before the blocks."""
    parts = name.split("layers.", 1)
    return int(parts[1].split(".", 1)[0]) + 1 if len(parts) == 2 else 0


class _Builder:
    """Adds the nodes of the encoder, one layer at a time; methods take and return names of tensors."""

    def __init__(self, config: dict[str, int], weights: dict[str, np.ndarray]) -> None:
        self._width, self._n_mels = config["d_model"], config["num_mel_bins"]
        self._n_heads = config["encoder_attention_heads"]
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: dict[str, np.ndarray] = {}

    def model(self, blocks: Sequence[int]) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        x, statistics = self._front(), []
        for number in range(1, max(blocks) + 1):
            x = self._block(x, f"layers.{number - 1}.")
            if number in blocks:
                statistics += self._pooled(x)
        self._nodes.append(helper.make_node("Concat", statistics, [OUTPUT], axis=-1))
        size = 2 * self._width * len(blocks)
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", self._n_mels, "n_frames"])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", size])],
            [numpy_helper.from_array(values, name) for name, values in self._constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _front(self) -> str:
        """Add two convolutions over time, the second with stride 2, and the positions; (n, n_positions, width)."""
        x = INPUT
        for layer, stride in (("conv1", 1), ("conv2", 2)):
            x = self._add("Conv", x, *self._parameters(layer), kernel_shape=[3], pads=[1, 1], strides=[stride])
            x = self._add("Gelu", x)
        x = self._add("Transpose", x, perm=[0, 2, 1])
        positions = self._constant("positions", self._weights["embed_positions.weight"])
        first, axis = self._constant("first", np.array([0])), self._constant("axis", np.array([0]))
        n_positions = self._add("Shape", x, start=1, end=2)
        return self._add("Add", x, self._add("Slice", positions, first, n_positions, axis))

    def _block(self, x: str, layer: str) -> str:
        """Add self-attention and a feed-forward network, each behind a normalisation and beside a shortcut."""
        x = self._add("Add", x, self._attention(self._normalised(x, f"{layer}self_attn_layer_norm"), layer))
        hidden = self._add("Gelu", self._linear(self._normalised(x, f"{layer}final_layer_norm"), f"{layer}fc1"))
        return self._add("Add", x, self._linear(hidden, f"{layer}fc2"))

    def _attention(self, x: str, layer: str) -> str:
        query = self._heads(self._linear(x, f"{layer}self_attn.q_proj"), [0, 2, 1, 3])
        key = self._heads(self._linear(x, f"{layer}self_attn.k_proj"), [0, 2, 3, 1])
        value = self._heads(self._linear(x, f"{layer}self_attn.v_proj"), [0, 2, 1, 3])
        scale = self._constant("scale", np.float32((self._width / self._n_heads) ** -0.5))
        weights = self._add("Softmax", self._add("Mul", self._add("MatMul", query, key), scale), axis=-1)
        mixed = self._add("Transpose", self._add("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self._add("Reshape", mixed, self._constant("joined", np.array([0, 0, self._width])))
        return self._linear(joined, f"{layer}self_attn.out_proj")

    def _heads(self, x: str, perm: list[int]) -> str:
        """Split the last axis into heads: (n, n_positions, width) to (n, n_heads, ...)."""
        split = self._constant("split", np.array([0, 0, self._n_heads, self._width // self._n_heads]))
        return self._add("Transpose", self._add("Reshape", x, split), perm=perm)

    def _pooled(self, x: str) -> list[str]:
        """Return mean and standard deviation over time, each (n, width)."""
        time = self._constant("time", np.array([1]))
        deviation = self._add("Sub", x, self._add("ReduceMean", x, time, keepdims=1))
        variance = self._add("ReduceMean", self._add("Mul", deviation, deviation), time, keepdims=0)
        return [self._add("ReduceMean", x, time, keepdims=0), self._add("Sqrt", variance)]

    def _normalised(self, x: str, layer: str) -> str:
        return self._add("LayerNormalization", x, *self._parameters(layer), axis=-1, epsilon=EPSILON)

    def _linear(self, x: str, layer: str) -> str:
        """Add a dense layer; the projections of keys have no bias."""
        product = self._add("MatMul", x, self._constant(f"{layer}.weight", self._weights[f"{layer}.weight"].T))
        if f"{layer}.bias" not in self._weights:
            return product
        return self._add("Add", product, self._constant(f"{layer}.bias", self._weights[f"{layer}.bias"]))

    def _parameters(self, layer: str) -> tuple[str, str]:
        names = f"{layer}.weight", f"{layer}.bias"
        return self._constant(names[0], self._weights[names[0]]), self._constant(names[1], self._weights[names[1]])

    def _constant(self, name: str, values: Any) -> str:
        self._constants[name] = np.ascontiguousarray(values) if np.ndim(values) else np.asarray(values)
        return name

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output
