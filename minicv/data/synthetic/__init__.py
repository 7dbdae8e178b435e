"""Data from code alone: exact ground truth, no file, item i depends only on (seed, i).

===========  =======================================================================
`stream`     `Stream`, what all picture generators share
`toy2d`      D1: point clouds in the plane, the spam example of AdaBoost
`shapes`     D2: `Shapes10`, ten coloured shapes, 32 x 32
`glyphs`     D3: `Glyphs10`, ten digits, 28 x 28
`scenes`     D4: `Scenes`, several shapes per picture: boxes, classes, masks
`textures`   D5: `PanopticScenes`, the same over sky, grass and bricks, every pixel labelled
`faces`      D6: `Faces`, `FacePatches`, `FaceScenes`, cartoon faces in clutter
`clutter`    grey backgrounds for D6
`sequences`  D10: `SeqToy`, token sequences to be copied, reversed, sorted, dates
===========  =======================================================================
"""

from .faces import Face, FacePatches, Faces, FaceScenes, draw_face, person
from .glyphs import Glyphs10
from .scenes import Scenes
from .sequences import EOS, PAD, SOS, SeqToy, pad_collate, pad_sequences
from .shapes import Shapes10
from .stream import Stream
from .textures import STUFF, PanopticScenes
from .toy2d import blobs, moons, spam8, spirals

__all__ = ["Stream", "blobs", "moons", "spirals", "spam8", "Shapes10", "Glyphs10",
           "Scenes", "PanopticScenes", "STUFF",
           "Face", "Faces", "FacePatches", "FaceScenes", "draw_face", "person",
           "SeqToy", "pad_sequences", "pad_collate", "PAD", "SOS", "EOS"]
