"""Opening a run's data: into memory or from a pack, split into what is trained on and kept out.

Does not see: what the memory will be asked for later on; what is free is looked at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from governance.canon import Json, canonical, write_whole
from governance.clearance import Clearance
from governance.snapshot import Snapshot
from training.config import RunConfig
from training.data.cleared import ClearedList, Pixels
from training.data.memory import fits_into_memory, needed_bytes, read_into_memory
from training.data.order import ShapeNumbers
from training.data.pack import Packs, check_plain
from training.data.packed import Pack, Packed, find_pack
from training.data.samples import ClearedSamples, told
from training.data.shapes import Shapes
from training.records.record import Bars, quiet

DATA_FILE = "data.json"
SHAPES_FILE = "shapes.bin"  # a byte a cleared sample, in the list's order: the number of its shape


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Opened:
    """What is trained on, what is kept out, and how they are read.

    `shapes` (N,) are of all cleared samples, in the list's order; `facts` go into `data.json`.
    """

    trained: ClearedSamples
    heldout: ClearedSamples
    shapes: ShapeNumbers
    facts: Mapping[str, Json]

    def tell(self, folder: Path) -> None:
        """Write into a run's folder how its data are read, and in which shapes."""
        write_whole(folder / DATA_FILE, canonical(self.facts))
        if self.shapes.any():
            write_whole(folder / SHAPES_FILE, self.shapes.tobytes())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Source:
    """What a run reads: the list and the snapshot of an admitted clearance, and packs of them."""

    clearance: Clearance
    listed: ClearedList
    snapshot: Snapshot
    packs: Packs
    bars: Bars = quiet

    def keep(self, config: RunConfig, *, processes: int = 1) -> str:
        """Return where pictures are kept: in the memory of every process, or packed.

        Of encrypted ones no pack is planned.

        Raises:
            Refused: a pack is asked for, and the snapshot is encrypted.
        """
        if config.data.keep == "packed":
            check_plain(self.snapshot)
        if config.data.keep != "planned":
            return config.data.keep
        rows = processes * self.listed.rows.num_rows  # as if all were on this machine
        fits = fits_into_memory(rows, Shapes.of(config))
        return "memory" if fits or self.snapshot.encrypted else "packed"

    def open(self, config: RunConfig, keep: str) -> Opened:
        """Open every cleared sample, kept as `keep` said.

        Raises:
            Refused: the list or the snapshot is not the one that was cleared; or nothing is left
                to train on.
            EvidenceMissing: a file is gone, or a cleared picture cannot be decoded.
            Tampered: bytes are not those that were sealed or packed.
        """
        self.listed.check(self.clearance, self.snapshot)
        shapes, count = Shapes.of(config), self.listed.rows.num_rows
        read = self._in_memory if keep == "memory" else self._packed
        samples, enlarged = read(shapes, config.image_px)
        trained, heldout = samples.split(config.evaluation.heldout_share)
        if len(samples.pixels) < count:
            wanted = config.evaluation
            most = max(wanted.reference_samples, wanted.loss_samples, wanted.prompts)
            trained = trained.shown(most, image_px=config.image_px)
            heldout = heldout.shown(most, image_px=config.image_px)
        facts: dict[str, Json] = {
            "asked": config.data.keep,
            "keep": keep,
            "bytes_in_memory": needed_bytes(count, shapes) if keep == "memory" else 0,
            "enlarged": enlarged,
            "judged_against": {"trained": len(trained.pixels), "heldout": len(heldout.pixels)},
            "shapes": [list(shape) for shape in shapes.at(config.image_px)],
            "samples_by_shape": np.bincount(samples.shapes, minlength=shapes.count).tolist(),
        }
        return Opened(trained=trained, heldout=heldout, shapes=samples.shapes, facts=facts)

    def _in_memory(self, shapes: Shapes, image_px: int) -> tuple[ClearedSamples, int]:
        rows = self.listed.rows
        bar = self.bars("reading", rows.num_rows)
        kept, numbers, enlarged = read_into_memory(rows, self.snapshot, shapes, bar=bar)
        squares = kept.squares(image_px) if shapes.count == 1 else _none(image_px)
        return ClearedSamples(squares, *told(rows), numbers, kept), enlarged

    def _packed(self, shapes: Shapes, image_px: int) -> tuple[ClearedSamples, int]:
        rows = self.listed.rows
        plain = not self.snapshot.encrypted  # else no pack is read either, and none is made
        pack = (find_pack(self.packs, rows, shapes) if plain else None) or self._made(shapes)
        packed, numbers, enlarged = Packed.of(pack, rows, shapes)
        return ClearedSamples(_none(image_px), *told(rows), numbers, packed), enlarged

    def _made(self, shapes: Shapes) -> Pack:
        folder, index = self.packs.make(
            self.clearance,
            listed=self.listed,
            snapshot=self.snapshot,
            shapes=shapes,
            bar=self.bars("packing", self.listed.rows.num_rows),
        )
        return Pack.open(folder, told=index)


def _none(image_px: int) -> Pixels:
    return np.empty((0, 3, image_px, image_px), np.uint8)
