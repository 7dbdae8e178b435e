"""Files of weights into models and back: exact, all or nothing, every difference named, no pickles (W8, W9)."""

import numpy as np
import pytest

from minicv import cnn, nn, vit, weights
from minicv.autograd import Tensor
from minicv.errors import ArgError, CheckpointError, DataFormatError, DataMissingError, LimitError, UnsafeFileError
from minicv.files import atomic_write
from minicv.weights import MAPS, rename, without_prefix

from ..cnn.hashed import fill, hashed, image

SUFFIXES = [".safetensors", ".npz"]


def net(rng=0):
    return cnn.resnet_cifar.CifarResNet(8, width=4, rng=rng)


def write(path, state):
    atomic_write(path, weights.safetensors_bytes(state))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_saved_model_comes_back_bit_for_bit(tmp_path, suffix, dtype):
    a, b, path = fill(net(), dtype), net(1).astype(dtype), tmp_path / f"weights{suffix}"
    weights.save(a, path)
    layouts = [p.data.strides for p in b.parameters()]
    assert weights.load(b, path) == ([], [])
    assert all(np.array_equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())
    assert layouts == [p.data.strides for p in b.parameters()]             # memory order is the model's own
    x = Tensor(image((1, 3, 16, 16), dtype))
    np.testing.assert_array_equal(a.eval()(x).data, b.eval()(x).data)


def test_arrays_that_were_read_load_as_their_file_does(tmp_path):
    """Through a name map, half precision widened, all or nothing."""
    a, b = fill(net(), np.float32), net(1)
    state = {f"module.{name}": array.astype(np.float16) if array.dtype == np.float32 else array
             for name, array in a.state_dict().items()}
    path = write(tmp_path / "half.safetensors", state)
    assert weights.load_arrays(b, weights.read(path), names="data_parallel") == ([], [])
    c = net(2)
    weights.load(c, path, names="data_parallel")
    assert all(np.array_equal(x, b.state_dict()[k]) for k, x in c.state_dict().items())
    before = b.state_dict()
    with pytest.raises(CheckpointError, match="missing: conv1.weight"):
        weights.load_arrays(b, {"bn1.weight": np.ones(4, np.float32)})
    with pytest.raises(ArgError, match="names is 'nobody'"):
        weights.load_arrays(b, state, names="nobody")
    assert all(np.array_equal(x, b.state_dict()[k]) for k, x in before.items())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_model_gives_the_same_file(tmp_path, suffix):
    for name in "ab":
        weights.save(net(), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_all_differences_are_listed_and_nothing_is_changed(tmp_path):
    """W9."""
    model = net()
    state, before = dict(fill(net(1), np.float32).state_dict()), model.state_dict()
    del state["conv1.weight"], state["layer2.0.bn1.bias"]
    state |= {"fc.weight": np.ones((10, 16), np.float32), "linear.bias": np.ones(1, np.float32),
              "bn1.weight": np.ones(4), "linear.weight": state["linear.weight"].T.copy()}
    path = write(tmp_path / "w.safetensors", state)
    with pytest.raises(CheckpointError) as error:
        weights.load(model, path)
    text = str(error.value)
    assert str(path) in text and "6 difference(s)" in text
    for line in ("missing: conv1.weight", "missing: layer2.0.bn1.bias", "unexpected: fc.weight",
                 "shape: linear.bias is (1,), expected (10,)", "shape: linear.weight is (16, 10), expected (10, 16)",
                 "dtype: bn1.weight is float64, expected float32"):
        assert line in text
    assert all(np.array_equal(a, before[k]) for k, a in model.state_dict().items())


def test_without_strict_names_may_differ_but_shapes_may_not(tmp_path):
    model, state = net(), dict(fill(net(1), np.float32).state_dict())
    del state["conv1.weight"]
    path = write(tmp_path / "w.safetensors", state | {"extra": np.ones(2, np.float32)})
    assert weights.load(model, path, strict=False) == (["conv1.weight"], ["extra"])
    np.testing.assert_array_equal(model.linear.weight.data, state["linear.weight"])
    path = write(tmp_path / "w.safetensors", state | {"linear.bias": np.ones(3, np.float32)})
    with pytest.raises(CheckpointError, match="shape: linear.bias"):
        weights.load(model, path, strict=False)


def test_a_classifier_can_be_left_out(tmp_path):
    path, model = tmp_path / "w.npz", cnn.resnet_cifar.CifarResNet(8, num_classes=3, width=4, rng=1)
    weights.save(net(), path)
    left = weights.load(model, path, strict=False,
                        names=lambda state: {k: state[k] for k in state if not k.startswith("linear.")})
    assert left.missing == ["linear.weight", "linear.bias"]
    np.testing.assert_array_equal(model.conv1.weight.data, net().conv1.weight.data)


def test_counters_of_batches_may_be_absent(tmp_path):
    state = {k: a for k, a in fill(net(), np.float32).state_dict().items() if not k.endswith("num_batches_tracked")}
    assert weights.load(net(1), write(tmp_path / "w.safetensors", state)) == ([], [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_precision_is_widened(tmp_path, suffix):
    layer, path = nn.Linear(2, 2, rng=0), tmp_path / f"w{suffix}"
    state = {"weight": np.array([[0.5, 1], [2, -3]], np.float16), "bias": np.array([1, 2], np.float16)}
    write(path, state) if suffix == ".safetensors" else np.savez(path, **state)
    weights.load(layer, path)
    np.testing.assert_array_equal(layer.weight.data, [[0.5, 1], [2, -3]])
    assert layer.weight.dtype == np.float32


def test_nan_is_loaded_with_a_warning(tmp_path):
    layer = nn.Linear(1, 1, rng=0)
    state = {"weight": np.array([[np.nan]], np.float32), "bias": np.zeros(1, np.float32)}
    with pytest.warns(UserWarning, match="NaN in weight"):
        weights.load(layer, write(tmp_path / "w.safetensors", state))


# Files that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".PTH", ".bin", ".pkl", ".ckpt"])
def test_pickles_are_refused_by_their_name(tmp_path, suffix):
    for call in (lambda p: weights.load(net(), p), lambda p: weights.save(net(), p), weights.read):
        with pytest.raises(UnsafeFileError, match="pickles, which run code"):
            call(tmp_path / f"w{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pickles_are_refused_by_their_content(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"\x80\x04\x95\x1a\0\0\0\0\0\0\0" + b"0" * 30)
    with pytest.raises(UnsafeFileError, match="pickle"):
        weights.load(net(), path)


def test_npz_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", x=np.array([{}], object))
    with pytest.raises(UnsafeFileError):
        weights.read(tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["w", "w.txt", "w.json"])
def test_other_files_are_refused(tmp_path, name):
    with pytest.raises(ArgError, match="expected a name in .safetensors or .npz"):
        weights.save(net(), tmp_path / name)


def test_absent_damaged_and_large_files_are_refused(tmp_path):
    with pytest.raises(DataMissingError):
        weights.load(net(), tmp_path / "none.npz")
    path = tmp_path / "w.safetensors"
    weights.save(net(), path)
    with pytest.raises(LimitError):
        weights.load(net(), path, limit=100)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataFormatError, match=str(path)):
        weights.load(net(), path)


def test_unknown_name_maps_are_refused_before_the_file_is_read(tmp_path):
    for names in ("hf", ["hf_vit"], 3):
        with pytest.raises(ArgError, match="expected a function or one of torchvision_vit"):
            weights.load(net(), tmp_path / "none.npz", names=names)


# Name maps ----------------------------------------------------------------------------------------------------


def test_renaming_never_loses_a_weight():
    assert rename({"a.x": 1, "b.x": 2}, (r"^a\.", "c.")) == {"c.x": 1, "b.x": 2}
    with pytest.raises(CheckpointError, match="two weights become 'a.x'"):
        rename({"a.x": 1, "b.x": 2}, ("^b", "a"))


def test_the_prefix_of_parallel_training_is_dropped(tmp_path):
    state = {f"module.{k}": a for k, a in fill(net(), np.float32).state_dict().items()}
    path = write(tmp_path / "w.safetensors", state)
    assert weights.load(net(1), path, names="data_parallel") == ([], [])
    assert without_prefix({"net.a": 1}, "net.") == {"a": 1}


def test_names_of_hf_transformers_are_translated_and_projections_stacked():
    """Names as `save_pretrained` writes them."""
    model = fill(vit.ViT(4, 8, 1, 2, image_size=8, num_classes=3))
    state = dict(model.state_dict())
    q, k, v = (dict(zip(("weight", "bias"), parts, strict=True)) for parts in zip(
        np.split(state.pop("blocks.0.attn.qkv.weight"), 3), np.split(state.pop("blocks.0.attn.qkv.bias"), 3),
        strict=True))
    layer = "vit.encoder.layer.0"
    theirs = {f"{layer}.attention.attention.{part}.{kind}": values[kind]
              for part, values in (("key", k), ("query", q), ("value", v)) for kind in values}
    for old, new in {"cls_token": "vit.embeddings.cls_token", "pos_embed": "vit.embeddings.position_embeddings",
                     "patch_embed.proj": "vit.embeddings.patch_embeddings.projection", "norm.": "vit.layernorm.",
                     "head.": "classifier.", "blocks.0.attn.proj": f"{layer}.attention.output.dense",
                     "blocks.0.mlp.fc1": f"{layer}.intermediate.dense", "blocks.0.mlp.fc2": f"{layer}.output.dense",
                     "blocks.0.norm1": f"{layer}.layernorm_before", "blocks.0.norm2": f"{layer}.layernorm_after",
                     }.items():
        theirs |= {new + name[len(old):]: state.pop(name) for name in list(state) if name.startswith(old)}
    assert not state
    found = MAPS["hf_vit"](theirs)
    assert found.keys() == model.state_dict().keys()
    assert all(np.array_equal(a, found[name]) for name, a in model.state_dict().items())
    incomplete = {k: a for k, a in theirs.items() if ".key." not in k}
    assert "blocks.0.attn.query.weight" in MAPS["hf_vit"](incomplete)


def test_state_of_a_name_map_is_not_changed():
    state = {"class_token": hashed("a", (1, 1, 4)), "conv_proj.weight": hashed("b", (4, 3, 2, 2))}
    before = dict(state)
    assert list(MAPS["torchvision_vit"](state)) == ["cls_token", "patch_embed.proj.weight"]
    assert state.keys() == before.keys()
