"""Rewrites of ONNX graphs that make their files smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LEAST_ROUNDED = 1000  # values; smaller arrays are not stored at half precision


def store_half(path: Path) -> None:
    """Rewrite a graph with its large constants at half precision, each followed by a cast to single precision."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, constants, casts = model.graph, [], []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LEAST_ROUNDED:
            constants.append(constant)
            continue
        small = f"{constant.name}_half"
        casts.append(helper.make_node("Cast", [small], [constant.name], to=TensorProto.FLOAT))
        constants.append(numpy_helper.from_array(values.astype(np.float16), small))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(constants)
    graph.node.extend(nodes)
    onnx.save(model, path)
