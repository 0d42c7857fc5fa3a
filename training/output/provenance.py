"""Provenance: what a written picture says of its origin, as XMP in PNG and JPEG.

The IPTC digital source type says that a trained model made it, XMP names the tool, our own
properties the run, its weights, its card and the usage policy. Never the prompt: it is hostile, and
may name a person.

Does not see: the picture later. Whatever re-encodes it may drop all of this; XMP is not signed, so
anybody can write or remove it (`training.output.manifest` signs).
"""

import io
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from governance.canon import sha256

Form: TypeAlias = Literal["png", "jpeg"]
# Source: IPTC NewsCodes, digital source type; C2PA and IPTC Photo Metadata use the same address.
MADE_BY_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SYSTEM = "Pramana"
OURS = "https://pramana.dev/xmp/v1/"
JPEG_QUALITY = 95
PNG_KEYWORD = "XML:com.adobe.xmp"  # XMP specification part 3, section 1.1.5
PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:pramana="{ours}">
<dc:creator><rdf:Seq><rdf:li>{tool}</rdf:li></rdf:Seq></dc:creator>
<xmp:CreatorTool>{tool}</xmp:CreatorTool>
<xmpMM:DocumentID>xmp.did:{document}</xmpMM:DocumentID>
<Iptc4xmpExt:DigitalSourceType>{made}</Iptc4xmpExt:DigitalSourceType>
<Iptc4xmpExt:AISystemUsed>{system}</Iptc4xmpExt:AISystemUsed>
<Iptc4xmpExt:AISystemVersionUsed>{weights}</Iptc4xmpExt:AISystemVersionUsed>
{facts}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where pictures come from; empty where it is not known.

    Attributes:
        run: the id of the run that made the weights.
        weights: SHA-256 of the denoiser's weights.
        card: SHA-256 of the bundle's SHA256SUMS, which lists the card.
        policy: SHA-256 of the usage policy that came with the weights.
    """

    run: str
    weights: str
    card: str
    policy: str

    @property
    def tool(self) -> str:
        """Return the program that draws, with its version."""
        return f"{SYSTEM} {version('pramana')}"

    def packet(self, image: Image.Image) -> bytes:
        """Return the XMP packet of a picture. Source: ISO 16684-1; IPTC Photo Metadata 2025.1."""
        facts = {"run": self.run, "card": self.card, "policy": self.policy}
        return PACKET.format(
            ours=OURS,
            tool=escape(self.tool),
            system=SYSTEM,
            document=sha256(image.tobytes())[:32],  # the same for the same pixels
            made=MADE_BY_MODEL,
            weights=escape(self.weights),
            facts="\n".join(
                f"<pramana:{name}>{escape(value)}</pramana:{name}>"
                for name, value in facts.items()
                if value
            ),
        ).encode()

    def encoded(self, image: Image.Image, form: Form = "png") -> bytes:
        """Return a picture as a file that states its origin."""
        stream, packet = io.BytesIO(), self.packet(image)
        if form == "jpeg":
            image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, xmp=packet)
        else:
            chunks = PngInfo()
            chunks.add_itxt(PNG_KEYWORD, packet.decode())
            image.save(stream, "PNG", pnginfo=chunks)
        return stream.getvalue()
