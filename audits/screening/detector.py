"""A network in a process of its own: pictures go in through a pipe, raw output comes out.

NudeNet's weights are AGPL-3.0 in fact (the wheel says MIT), so they are never loaded into our
process; a second detector runs in the same way. The child is
`python -m audits.screening.detector WEIGHTS SHA256 NORMS`; it ends when its pipe does, so it cannot
outlive the worker that started it.

Does not see: what the output means. `audits.screening.boxes` and `.second` read it.
"""

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from governance.canon import file_sha256, sha256
from governance.errors import EvidenceMissing, PramanaError, Tampered

SHAPE = struct.Struct("<II")  # two sides of what follows, before every message
Raw = npt.NDArray[np.float32]  # (rows, columns): what the network gives for one picture
Channels = tuple[float, float, float]  # red, green, blue


@dataclass(frozen=True, slots=True, kw_only=True)
class Norms:
    """What is subtracted from, and what divides, pixels that were scaled to 0..1."""

    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)


PLAIN = Norms()


@dataclass(frozen=True, slots=True)
class Weights:
    """A network by its digest; where it lies on this machine is nobody else's business."""

    path: Path = field(repr=False, compare=False)
    sha256: str

    @classmethod
    def at(cls, path: Path) -> Self:
        """Name the network at `path`. Raises EvidenceMissing where there is none."""
        if not path.is_file():
            raise EvidenceMissing(f"There is no detector file {path.name} there; give its path.")
        return cls(path, file_sha256(path))

    @classmethod
    def installed(cls) -> Self | None:
        """Name the one in the `nudenet` package, without importing the package; None without it."""
        spec = importlib.util.find_spec("nudenet")
        if spec is None or spec.origin is None:
            return None
        return cls.at(Path(spec.origin).with_name("320n.onnx"))


class Detector:
    """One child process and its two pipes."""

    def __init__(self, weights: Weights, norms: Norms = PLAIN) -> None:
        """Start the child. It loads nothing but weights with this digest."""
        told = [str(weights.path), weights.sha256, json.dumps([norms.mean, norms.std])]
        command = [sys.executable, "-P", "-m", "audits.screening.detector", *told]
        self._child = subprocess.Popen(  # noqa: S603  our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        """Return the child's process id, to measure its memory."""
        return self._child.pid

    def run(self, pixels: npt.NDArray[np.uint8]) -> Raw:
        """Return the raw output for one RGB picture (H, W, 3) of a size the network takes.

        Raises:
            Tampered: the weights are not the ones this audit was configured with.
            EvidenceMissing: the child could not start or ended.
        """
        sent, received = self._child.stdin, self._child.stdout
        if sent is None or received is None:
            raise EvidenceMissing("The detector process has no pipes; audit again.")
        try:
            sent.write(SHAPE.pack(*pixels.shape[:2]) + pixels.tobytes())
            sent.flush()
            rows, anchors = SHAPE.unpack(_exactly(received, SHAPE.size))
            data = _exactly(received, rows * anchors * 4)
        except (BrokenPipeError, EOFError):
            raise self._fault() from None
        return np.frombuffer(data, np.float32).reshape(rows, anchors)

    def close(self) -> None:
        """End the child and wait for it."""
        with contextlib.suppress(BrokenPipeError):
            self._child.communicate()

    def _fault(self) -> PramanaError:
        status = self._child.wait()
        if status == Tampered.status:
            return Tampered("The detector's weights changed after the audit began; audit again.")
        return EvidenceMissing(
            f"The detector process ended with status {status}; what it said stands above. Check "
            "that pramana[nsfw] is installed and the network is sound, then audit again: finished "
            "shards are kept."
        )


def run(weights: Weights, pixels: npt.NDArray[np.uint8], norms: Norms = PLAIN) -> Raw:
    """Return a network's output from the child of this process that runs it.

    There is one child a worker and network, started at its first picture. Raises what
    `Detector.run` does; the next audit of this process then starts a new child.
    """
    try:
        return started(weights, norms).run(pixels)
    except PramanaError:
        started.cache_clear()
        raise


@functools.cache
def started(weights: Weights, norms: Norms) -> Detector:
    """Return the child that runs a network, which ends with this process."""
    detector = Detector(weights, norms)
    atexit.register(detector.close)
    return detector


def serve(weights: Weights, norms: Norms, received: IO[bytes], sent: IO[bytes]) -> None:
    """Answer pictures until the pipe ends. Raises Tampered, ImportError, OSError."""
    data = weights.path.read_bytes()
    if sha256(data) != weights.sha256:
        raise Tampered("These are not the weights that were asked for.")
    import onnxruntime  # noqa: PLC0415  heavy

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one worker a core; spinning threads burn twice the CPU
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    while header := received.read(SHAPE.size):
        height, width = SHAPE.unpack(header)
        pixels = np.frombuffer(_exactly(received, height * width * 3), np.uint8)
        planes = pixels.reshape(1, height, width, 3).transpose(0, 3, 1, 2)
        scaled = planes.astype(np.float32) / np.float32(255)
        output = np.asarray(session.run(None, {name: _normal(scaled, norms)})[0], np.float32)[0]
        output = output.reshape(len(output), -1)
        sent.write(SHAPE.pack(*output.shape) + output.tobytes())
        sent.flush()


def _normal(planes: npt.NDArray[np.float32], norms: Norms) -> npt.NDArray[np.float32]:
    """Return planes (1, 3, H, W) as the network learned them."""
    if norms == PLAIN:
        return planes
    mean, std = (np.array(n, np.float32).reshape(1, 3, 1, 1) for n in (norms.mean, norms.std))
    return np.ascontiguousarray((planes - mean) / std, np.float32)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def main() -> int:
    """Serve on stdin and stdout; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker is interrupted; we end with it
    sent = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    path, digest, told = sys.argv[1:]
    mean, std = json.loads(told)
    norms = Norms(mean=tuple(mean), std=tuple(std))
    try:
        serve(Weights(Path(path), digest), norms, sys.stdin.buffer, sent)
    except Tampered as fault:
        return fault.status
    except (BrokenPipeError, EOFError):
        return 0  # the worker is gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
