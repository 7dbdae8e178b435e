"""Parsers under damaged input: idx, idx.gz, cifar, png, jpeg, npz.

Proved here: whatever is done to a valid file, a parser returns a documented result or raises a
DataFormatError; nothing else, and it writes no file. A valid file is made first and then mutated:
cut, bits flipped, parts repeated, swapped or dropped, length fields set to extreme values; for
formats with checksums or compression also inside, with the checksum made right again, so that the
damage reaches the code behind it. Hypothesis and a seeded generator both choose the mutations.
"""

import builtins
import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from minicv.data.files import decode_image, parse_cifar10, parse_idx
from minicv.errors import DataFormatError
from minicv.files import npz_bytes, parse_npz

EXTREMES = [0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]
RNG = np.random.default_rng(0)


def mutate(data, kind, where, value):
    """One damage. where: share of the file in [0, 1); value: any integer."""
    at = int(where * max(len(data), 1))
    if kind == "cut":
        return data[:at]
    if kind == "flip" and data:
        return data[:at] + bytes([data[at] ^ (1 << value % 8)]) + data[at + 1:]
    if kind == "byte" and data:
        return data[:at] + bytes([value % 256]) + data[at + 1:]
    if kind in ("big", "little"):
        size = (2, 4, 8)[value % 3]
        field = (EXTREMES[value // 3 % len(EXTREMES)] % 256**size).to_bytes(size, kind)
        return data[:at] + field + data[at + size:]
    part = data[at:at + 1 + value % 64]
    if kind == "repeat":
        return data[:at] + part + data[at:]
    if kind == "drop":
        return data[:at] + data[at + len(part):]
    if kind == "swap":
        end = at + 2 * len(part)
        return data[:at] + data[at + len(part):end] + part + data[end:]
    return data + part  # append


KINDS = ["cut", "flip", "byte", "big", "little", "repeat", "drop", "swap", "append"]
MUTATIONS = st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 0.9999), st.integers(0, 2**16)),
                     min_size=1, max_size=4)


def mutated(data, mutations):
    for mutation in mutations:
        data = mutate(data, *mutation)
    return data


# --- valid files, and ways to damage the inside -------------------------------------------------

IDX = struct.pack(">HBBIII", 0, 8, 3, 3, 4, 5) + RNG.bytes(60)
CIFAR = b"".join(bytes([k]) + RNG.bytes(3072) for k in range(3))


def picture(form):
    buffer = io.BytesIO()
    pixels = RNG.integers(0, 256, (9, 11, 3), np.uint8)
    pixels[:, :4] = 7
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


PNG, JPEG = picture("PNG"), picture("JPEG")
NPZ = npz_bytes({"a": np.arange(6.0).reshape(2, 3), "b/c": np.array(True), "d": np.zeros((0, 2))})


def in_gzip(mutations):
    return gzip.compress(mutated(IDX, mutations), mtime=0)


def in_png(mutations):
    """Mutate header and data of the chunks and make their checksums right."""
    out, offset = PNG[:8], 8
    while offset < len(PNG):
        (length,) = struct.unpack(">I", PNG[offset:offset + 4])
        kind, body = PNG[offset + 4:offset + 8], PNG[offset + 8:offset + 8 + length]
        if body:
            body = mutated(body, mutations[:2]) if kind == b"IHDR" else zlib.compress(
                mutated(zlib.decompress(body), mutations[2:]))
        crc = zlib.crc32(kind + body)
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
        offset += 12 + length
    return out


def in_npz(mutations):
    """Mutate the members and pack them again: sizes and checksums of the archive are right."""
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if len(mutations) % 2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as out, zipfile.ZipFile(io.BytesIO(NPZ)) as source:
        for m in source.infolist():
            out.writestr(m.filename, mutated(source.read(m), mutations))
    return buffer.getvalue()


def check_idx(result):
    assert isinstance(result, np.ndarray) and result.size > 0 and result.dtype.isnative


def check_cifar(result):
    assert result[0].shape[1:] == (3, 32, 32) and result[1].max() <= 9


def check_picture(result):
    assert result.dtype == np.float32 and result.shape[0] == 3 and result.size > 0
    assert 0 <= result.min() and result.max() <= 1


def check_npz(result):
    assert all(isinstance(v, np.ndarray) and v.dtype.kind in "biufc" for v in result.values())


TARGETS = {  # maker of a damaged file, parser, check of what is accepted
    "idx": (lambda m: mutated(IDX, m), parse_idx, check_idx),
    "idx.gz": (lambda m: mutated(gzip.compress(IDX, mtime=0), m), parse_idx, check_idx),
    "idx in gz": (in_gzip, parse_idx, check_idx),
    "cifar": (lambda m: mutated(CIFAR, m), parse_cifar10, check_cifar),
    "png": (lambda m: mutated(PNG, m), decode_image, check_picture),
    "in png": (in_png, decode_image, check_picture),
    "jpeg": (lambda m: mutated(JPEG, m), decode_image, check_picture),
    "npz": (lambda m: mutated(NPZ, m), parse_npz, check_npz),
    "in npz": (in_npz, parse_npz, check_npz),
}


def outcome(target, mutations):
    """"accepted" or "refused"; anything else is an exception and fails the test."""
    make, parse, check = TARGETS[target]
    data = make(mutations)
    try:
        result = parse(data)
    except DataFormatError as e:
        assert str(e)
        return "refused"
    check(result)
    return "accepted"


@pytest.fixture
def no_writing(monkeypatch):
    """Opening anything for writing fails the test."""
    plain_open, plain_os_open = builtins.open, os.open

    def guarded(file, mode="r", *args, **kwargs):
        assert not set(mode) & set("wax+"), f"{file} was opened for writing"
        return plain_open(file, mode, *args, **kwargs)

    def guarded_os(path, flags, *args, **kwargs):
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT), f"{path} was opened for writing"
        return plain_os_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", guarded)
    monkeypatch.setattr(os, "open", guarded_os)


def survives_seeded_damage(outcome, target, seed, count):
    """`outcome(target, mutations)` of `count` damaged files: each is accepted or refused, and enough are refused."""
    rng, seen = np.random.default_rng([seed, count]), {"accepted": 0, "refused": 0}
    for _ in range(count):
        mutations = [(KINDS[rng.integers(len(KINDS))], rng.random(), int(rng.integers(2**16)))
                     for _ in range(rng.integers(1, 5))]
        seen[outcome(target, mutations)] += 1
    assert seen["refused"] > count / 20, f"the fuzzer does no damage: {seen}"


def survives_drawn_damage(outcome, target):
    """The same for damage that hypothesis draws and makes smaller."""
    @settings(max_examples=300, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow])
    @given(MUTATIONS)
    def run(mutations):
        outcome(target, mutations)

    run()


@pytest.mark.parametrize("target", TARGETS)
def test_valid_files_are_accepted(target):
    assert outcome(target, []) == "accepted"


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", TARGETS)
def test_seeded_damage_is_accepted_or_refused(target, count, no_writing):
    survives_seeded_damage(outcome, target, 7, count)


@pytest.mark.parametrize("target", TARGETS)
def test_drawn_damage_is_accepted_or_refused(target):
    survives_drawn_damage(outcome, target)


@pytest.mark.parametrize("parse", [parse_idx, parse_cifar10, decode_image, parse_npz])
@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(data=st.binary(max_size=200), head=st.sampled_from(
    [b"", b"\x1f\x8b\x08", b"\0\0\x08\x01", PNG[:8], PNG[:33], b"PK\x03\x04", JPEG[:20], b"BM"]))
def test_noise_behind_a_known_beginning_is_accepted_or_refused(parse, head, data):
    try:
        parse(head + data)
    except DataFormatError:
        pass
