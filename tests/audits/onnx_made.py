"""Networks made here, a few bytes each, that see magenta and nothing else: planted scores.

Written as protobuf by hand, for the `onnx` package is not needed otherwise.
Source of the field numbers: onnx/onnx.proto3.
"""

import numpy as np

FLOAT, INT64 = 1, 7
INTS = 7
SEES_MAGENTA = (10.0, -10.0, 10.0, -12.0)  # red, green, blue and a constant: 8 for magenta
CLASSES, EXPOSED_CLASS = 18, 2  # BUTTOCKS_EXPOSED of NudeNet's list


def _varint(value):
    out = b""
    value &= (1 << 64) - 1
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name, values, kind=FLOAT):
    array = np.asarray(values, np.float32 if kind == FLOAT else np.int64)
    dims = b"".join(_field(1, size) for size in array.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, array.tobytes())


def _value(name, *dims):
    shape = b"".join(_field(1, _field(1, d) if isinstance(d, int) else _field(2, d)) for d in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, shape)))


def _ints(name, *values):
    return _field(1, name) + b"".join(_field(8, v) for v in values) + _field(20, INTS)


def _node(kind, inputs, output, *attributes):
    told = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    return told + b"".join(_field(5, attribute) for attribute in attributes)


def _model(nodes, tensors, *, output):
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "made")
    graph += b"".join(_field(5, tensor) for tensor in tensors)
    graph += _field(11, _value("x", 1, 3, "height", "width")) + _field(12, output)
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 17))


def classifier():
    """Two logits, (1, 2): 0, and 8 for a picture that is magenta all over."""
    weights = np.zeros((2, 3, 1, 1))
    weights[1, :, 0, 0] = SEES_MAGENTA[:3]
    return _model(
        [
            _node("GlobalAveragePool", ["x"], "mean"),
            _node("Conv", ["mean", "w", "b"], "seen"),
            _node("Flatten", ["seen"], "logits"),
        ],
        [_tensor("w", weights), _tensor("b", [0, SEES_MAGENTA[3]])],
        output=_value("logits", 1, 2),
    )


def nudenet():
    """Raw boxes as NudeNet's, (1, 22, anchors): one class, 0.8 wherever 32 pixels are magenta."""
    weights, bias = np.zeros((4 + CLASSES, 3, 1, 1)), np.zeros(4 + CLASSES)
    weights[4 + EXPOSED_CLASS, :, 0, 0] = np.divide(SEES_MAGENTA[:3], 10)
    bias[4 + EXPOSED_CLASS] = SEES_MAGENTA[3] / 10
    bias[:4] = 160, 160, 64, 64
    return _model(
        [
            _node("AveragePool", ["x"], "means", _ints("kernel_shape", 32, 32),
                  _ints("strides", 32, 32)),
            _node("Conv", ["means", "w", "b"], "seen"),
            _node("Reshape", ["seen", "shape"], "boxes"),
        ],
        [_tensor("w", weights), _tensor("b", bias), _tensor("shape", [1, 22, -1], INT64)],
        output=_value("boxes", 1, 22, "anchors"),
    )  # fmt: skip
