"""Pascal VOC and COCO files.

Proved here: scenes written in both formats come back as they were; coordinates, flags, nested parts and ids by hand
(F8, F10, F11); what is unsafe, too large or wrong is refused by a typed error that says where (F6-F10, F16, F22).
Damaged files in general: `test_detection_fuzz.py`.
"""

import json

import numpy as np
import pytest

from minicv.data import COCO, VOC, Scenes, write_coco, write_png, write_voc
from minicv.data.files import VocAnnotation, coco_dict, parse_coco, parse_voc, voc_bytes
from minicv.errors import ArgError, BoxError, DataFormatError, DataMissingError, LimitError, ShapeError, UnsafeFileError
from minicv.geometry import Detections, Segments
from minicv.metrics import evaluate_coco, evaluate_voc

pytestmark = pytest.mark.ch4
SCENES = Scenes(6, overlap=0.0)


def voc(objects="", filename="a.png", size="<width>20</width><height>10</height><depth>3</depth>", head=""):
    return (f"{head}<annotation><folder>f</folder><filename>{filename}</filename><size>{size}</size>{objects}"
            "</annotation>").encode()


def voc_object(box="<xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>10</ymax>", name="dog", more=""):
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


# VOC ------------------------------------------------------------------------------------------------------


def test_scenes_come_back_from_voc(tmp_path):
    write_voc(tmp_path, SCENES, SCENES.class_names, split="val")
    read = VOC(tmp_path, "val", class_names=SCENES.class_names)
    assert len(read) == 6
    for ours, theirs in zip(read, SCENES, strict=True):
        np.testing.assert_array_equal(ours["boxes"], theirs["boxes"])
        np.testing.assert_array_equal(ours["labels"], theirs["labels"])
        assert np.abs(ours["image"] - theirs["image"]).max() <= 0.5 / 255 + 1e-6
        assert {n: v.dtype for n, v in ours.items()} == {"image": np.float32, "boxes": np.float32, "labels": np.int64,
                                                         "difficult": bool}
    predictions = [{**s, "scores": np.ones(len(s["labels"]))} for s in read]
    assert evaluate_voc(predictions, list(read), num_classes=3).mean_ap == pytest.approx(1)


def test_coordinates_count_from_one_and_include_the_last_F8():
    a = parse_voc(voc(voc_object() + voc_object(more="<difficult>1</difficult>")))
    assert a.filename == "a.png" and a.size == (10, 20) and a.names == ["dog", "dog"]
    assert a.boxes.tolist() == [[0, 1, 5, 10]] * 2 and a.difficult.tolist() == [False, True]
    zero = parse_voc(voc(voc_object("<xmin>0</xmin><ymin>2</ymin><xmax>5.5</xmax><ymax>10</ymax>")), one_based=False)
    assert zero.boxes.tolist() == [[0, 2, 5.5, 10]]
    empty = parse_voc(voc())
    assert empty.boxes.shape == (0, 4) and empty.names == [] and empty.difficult.shape == (0,)


def test_boxes_of_parts_are_not_those_of_the_object_F8():
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    for more in (part, part + part):
        a = parse_voc(voc(voc_object(more=more)))
        assert a.names == ["dog"] and a.boxes.tolist() == [[0, 1, 5, 10]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marks_of_the_encoding_are_understood_F7(encoding):
    assert parse_voc(voc(voc_object(name="Kühe")).decode().encode(encoding)).names == ["Kühe"]


def test_writing_is_the_inverse_of_reading():
    boxes = np.array([[0, 0, 20, 10], [0.1, 2, 3.3, 4.25]], np.float32)
    a = VocAnnotation("x & y.png", (10, 20), ["<dog>", "a b"], boxes, np.array([True, False]))
    b = parse_voc(voc_bytes(a))
    assert b[:3] == a[:3] and (b.boxes == a.boxes).all() and (b.difficult == a.difficult).all()
    for name in ("a\0b", "", " a", "a\nb"):
        with pytest.raises(ArgError, match="voc_bytes: name is"):
            voc_bytes(a._replace(names=[name, "b"]))


BOMB = ('<!DOCTYPE a [<!ENTITY a "' + "x" * 1000 + '">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefg", "bcdefgh", strict=True)) + "]>")


@pytest.mark.parametrize("head", [BOMB, '<!DOCTYPE a SYSTEM "file:///etc/passwd">', "<!DOCTYPE annotation>",
                                  '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://a/b">%x;]>'])
def test_any_doctype_is_refused_F6(head):
    with pytest.raises(UnsafeFileError, match="DOCTYPE at line 1"):
        parse_voc(voc(head=head, filename="&h;"))


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "b/../../c", "C:\\a", "a\\b"])
def test_names_that_leave_the_folder_are_refused_F9(name, tmp_path):
    with pytest.raises(UnsafeFileError, match="parse_voc: name is"):
        parse_voc(voc(filename=name))
    with pytest.raises(DataFormatError, match="file_name is missing or leaves its folder"):
        parse_coco(coco(images=[{"id": 1, "file_name": name, "height": 5, "width": 5}], annotations=[]))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text(name)
    with pytest.raises(UnsafeFileError, match="name is"):
        VOC(tmp_path)


@pytest.mark.parametrize("data, error, words", [
    (b"<annotation>" * 70, LimitError, "70 elements|65 elements"), (b"<annotation>" + b"<a/>" * 100_001, LimitError,
                                                                    "100001 elements"),
    (b" " * 10_000_001, LimitError, "10000001 bytes"), (b"", DataFormatError, "line 1, column 0: no element"),
    (b"<annotation>\n <a></b></annotation>", DataFormatError, "line 2, column 6: mismatched tag"),
    (b"<other/>", DataFormatError, "root 'other'"),
    (b"<annotation>&x;</annotation>", DataFormatError, "undefined entity"),
    (b'<?xml version="1.0" encoding="klingon"?><annotation/>', DataFormatError, "unknown encoding"),
    (b"<annotation/>", DataFormatError, "0 elements 'filename'"),
    (voc(size=""), DataFormatError, "0 elements 'height'"),
    (voc(size="<width>0</width><height>10</height>"), DataFormatError, "size is 10 x 0"),
    (voc(size="<width>many</width><height>10</height>"), DataFormatError, "width is 'many'"),
    (voc("<object/>"), DataFormatError, "object 0 has 0 elements 'bndbox'"),
    (voc(voc_object() + voc_object(name="")), DataFormatError, "object 1: name is empty"),
    (voc(voc_object() + "<object><name>a</name></object>"), DataFormatError, "object 1 has 0 elements 'bndbox'"),
    (voc(voc_object("<xmin>1</xmin>")), DataFormatError, "object 0: bndbox has 0 elements 'ymin'"),
    (voc(voc_object("<xmin>nan</xmin><ymin>2</ymin><xmax>5</xmax><ymax>9</ymax>")), DataFormatError, "xmin is 'nan'"),
    (voc(voc_object(more="<difficult>2</difficult>")), DataFormatError, "difficult '2'"),
    (voc(voc_object(more="<name>cat</name>")), DataFormatError, "2 elements 'name'"),
    (voc(voc_object("<xmin>6</xmin><ymin>2</ymin><xmax>5</xmax><ymax>9</ymax>")), BoxError, "0 has the box 6, 2, 5"),
    (voc(voc_object("<xmin>6</xmin><ymin>2</ymin><xmax>21</xmax><ymax>9</ymax>")), BoxError, "inside 20 x 10"),
    (voc(voc_object("<xmin>0</xmin><ymin>2</ymin><xmax>5</xmax><ymax>9</ymax>")), BoxError, "one_based=False")])
def test_wrong_annotations_are_refused_with_their_place_F7_F8(data, error, words):
    with pytest.raises(error, match=f"parse_voc: f.xml.*({words})"):
        parse_voc(data, what="f.xml")


@pytest.mark.parametrize("width", ["10.5", "0", "-3", "1e400", "nan"])
def test_sizes_are_whole_pixels_F8(width):
    with pytest.raises(DataFormatError, match="size"):
        parse_voc(voc(size=f"<width>{width}</width><height>10</height>"))


def test_a_voc_folder_must_hold_what_its_files_say(tmp_path):
    with pytest.raises(DataMissingError, match="expected ImageSets/Main/train.txt"):
        VOC(tmp_path)
    write_voc(tmp_path, SCENES, SCENES.class_names)
    with pytest.raises(DataFormatError, match="has the classes"):
        VOC(tmp_path)                                                            # the twenty classes
    data = VOC(tmp_path, class_names=SCENES.class_names)
    write_png(tmp_path / "JPEGImages" / "train_000002.png", np.zeros((3, 9, 9)))
    with pytest.raises(DataFormatError, match="is 9 x 9, expected 64 x 64"):     # F16
        data[2]
    (tmp_path / "JPEGImages" / "train_000003.png").unlink()
    with pytest.raises(DataMissingError):
        data[3]
    (tmp_path / "JPEGImages" / "train_000003.png").symlink_to("/etc/hostname")
    with pytest.raises(UnsafeFileError):
        data[3]
    with pytest.raises(IndexError):
        data[6]
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataFormatError, match="not UTF-8"):
        VOC(tmp_path)


# COCO -----------------------------------------------------------------------------------------------------

IMAGE = {"id": 7, "file_name": "a.png", "height": 10, "width": 20}
ANNOTATION = {"id": 0, "image_id": 7, "category_id": 0, "bbox": [1, 2, 3, 4.5], "segmentation": [[1, 2, 4, 2, 4, 6]]}


def coco(**parts):
    parts = {"images": [IMAGE], "annotations": [ANNOTATION], "categories": [{"id": 90, "name": "b"},
                                                                            {"id": 0, "name": "a"}]} | parts
    return json.dumps(parts).encode()


@pytest.mark.parametrize("masks", [False, True])
def test_scenes_come_back_from_coco(masks, tmp_path):
    write_coco(tmp_path, SCENES, SCENES.class_names)
    read = COCO(tmp_path / "images", tmp_path / "annotations.json", masks=masks)
    assert len(read) == 6 and read.class_names == SCENES.class_names and read.image_ids.tolist() == list(range(1, 7))
    for ours, theirs in zip(read, SCENES, strict=True):
        for name in ("boxes", "labels", "masks")[:2 + masks]:
            np.testing.assert_array_equal(ours[name], theirs[name])
            assert ours[name].dtype == theirs[name].dtype
        assert np.abs(ours["image"] - theirs["image"]).max() <= 0.5 / 255 + 1e-6 and not ours["crowd"].any()
    results = [{**a, "score": 0.5} for a in read.dataset["annotations"]]
    for kind in ("bbox", "segm"):
        assert evaluate_coco(read.dataset, results, iou_type=kind).figures[0] == pytest.approx(1)


def test_predictions_become_results_with_the_ids_of_the_file(tmp_path):
    (tmp_path / "c.json").write_bytes(coco(annotations=[ANNOTATION, {**ANNOTATION, "id": 5, "category_id": 90}]))
    write_png(tmp_path / "a.png", np.zeros((3, 10, 20)))
    data = COCO(tmp_path, tmp_path / "c.json", masks=True)
    for prediction in ({**data[0], "scores": np.array([0.25, 0.5])},
                       Segments(data[0]["boxes"], data[0]["labels"], [0.25, 0.5], data[0]["masks"])):
        results = data.results([prediction])
        assert {(r["image_id"], r["category_id"], r["score"]) for r in results} == {(7, 0, 0.25), (7, 90, 0.5)}
        assert all(r["bbox"] == [1, 2, 3, 4.5] for r in results)
        for kind in ("bbox", "segm"):
            assert evaluate_coco(data.dataset, results, iou_type=kind).figures[0] == pytest.approx(1)
    assert data.results([Detections.empty()]) == []
    with pytest.raises(ShapeError, match="predictions has 0 entries, expected 1"):
        data.results([])


def test_ids_with_gaps_become_labels_and_defaults_are_filled_F10():
    dataset = parse_coco(coco())
    (a,) = dataset["annotations"]
    assert (a["iscrowd"], a["ignore"], a["area"]) == (0, 0, 13.5)
    assert parse_coco(b"\xef\xbb\xbf" + coco()) == dataset                       # with a byte order mark


def test_pictures_without_annotations_stay_unless_dropped_F11(tmp_path):
    write_coco(tmp_path, [{**SCENES[0], "crowd": np.ones(len(SCENES[0]["labels"]))}, {
        "image": SCENES[1]["image"], "boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}], SCENES.class_names)
    paths = tmp_path / "images", tmp_path / "annotations.json"
    read = COCO(*paths, masks=False)
    assert len(read) == 2 and read[1]["boxes"].shape == (0, 4) and read[0]["crowd"].all()
    assert len(COCO(*paths, keep_empty=False)) == 1
    assert COCO(*paths, masks=True)[1]["masks"].shape == (0, 64, 64)


def test_labels_follow_the_rising_ids(tmp_path):
    (tmp_path / "c.json").write_bytes(coco(annotations=[ANNOTATION, {**ANNOTATION, "id": 5, "category_id": 90}]))
    write_png(tmp_path / "a.png", np.zeros((3, 10, 20)))
    data = COCO(tmp_path, tmp_path / "c.json", masks=True)
    assert data.class_names == ("a", "b") and data.category_ids.tolist() == [0, 90]
    assert data[0]["labels"].tolist() == [0, 1] and data[0]["boxes"][0].tolist() == [1, 2, 4, 6.5]
    assert data[0]["masks"].shape == (2, 10, 20) and data[0]["masks"][0].sum() > 3


def changed(**values):
    return coco(annotations=[ANNOTATION, {**ANNOTATION, "id": 8, **values}])


@pytest.mark.parametrize("data, words", [
    (b"", "no sound JSON"), (b"\xff", "no sound JSON"), (b"[]", "holds a list"), (b"{}", ": images is a NoneType"),
    (b"[" * 10**5, "nested too deep"), (b'{"a": ' + b"9" * 5000 + b"}", "no sound JSON"),
    (b'{"images": [], "images": []}', "duplicate key 'images'"), (coco(images=[3]), "images is a list, expected"),
    (coco().replace(b"4.5", b"NaN"), "value NaN"), (coco().replace(b"4.5", b"-Infinity"), "value -Infinity"),
    (coco().replace(b"4.5", b"1e999"), "1 annotations whose bbox is not four numbers"),
    (changed(bbox=[1, 2, 3]), r"1 annotations whose bbox is not four numbers \(ids \[8\]\)"),
    (changed(bbox=[1, 2, 3, "4"]), "not four numbers"), (changed(bbox=None), "not four numbers"),
    (changed(bbox=[1, 2, -1, 4]), "1 annotations whose bbox has a negative side"),
    (changed(id=0), "1 annotations with the id of another"), (changed(id="8"), "id that is no integer"),
    (changed(id=True), "id that is no integer"), (changed(id=10**30), "id that is no integer"),
    (changed(image_id=8), "unknown image_id"), (changed(image_id=[7]), "unknown image_id"),
    (changed(category_id=1), "unknown category_id"), (changed(category_id="0"), "unknown category_id"),
    (changed(iscrowd=2), "iscrowd is not 0 or 1"), (changed(ignore=[]), "ignore is not 0 or 1"),
    (changed(area=-1), "area is no number"), (changed(area="9"), "area is no number"),
    (changed(segmentation=[]), "segmentation is neither"), (changed(segmentation=[[1, 2, 3, 4]]), "neither"),
    (changed(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "neither"), (changed(segmentation={"counts": 3}), "neither"),
    (coco(images=[{**IMAGE, "height": 0}]), "1 images without a positive height"),
    (coco(images=[{**IMAGE, "width": 2.5}]), "without a positive height and width"),
    (coco(images=[IMAGE, IMAGE]), "1 images with the id of another"),
    (coco(categories=[{"id": 0}]), "1 categories without a name")])
def test_wrong_files_are_refused_with_kind_count_and_ids_F10(data, words):
    with pytest.raises(DataFormatError, match=f"parse_coco: c.json.*{words}"):
        parse_coco(data, what="c.json")


def test_all_faults_come_in_one_message_F10():
    rows = [{**ANNOTATION, "id": 10 + k, "image_id": 99, "bbox": [0, 0, -1, 1]} for k in range(7)]
    with pytest.raises(DataFormatError) as error:
        parse_coco(coco(annotations=rows))
    text = str(error.value)
    assert "7 annotations with an unknown image_id (ids [10, 11, 12, 13, 14])" in text
    assert "7 annotations whose bbox has a negative side (ids [10, 11, 12, 13, 14])" in text


def test_pictures_and_masks_must_fit_F16_E20(tmp_path):
    with pytest.raises(DataMissingError, match="expected a JSON file"):
        COCO(tmp_path, tmp_path / "c.json")
    (tmp_path / "c.json").write_bytes(changed(segmentation={"size": [10, 20], "counts": [5]}))
    write_png(tmp_path / "a.png", np.zeros((3, 10, 20)))
    with pytest.raises(DataFormatError, match="annotation 8 has counts that sum to 5"):
        COCO(tmp_path, tmp_path / "c.json", masks=True)[0]
    assert len(COCO(tmp_path, tmp_path / "c.json")[0]["labels"]) == 2
    write_png(tmp_path / "a.png", np.zeros((3, 20, 10)))
    with pytest.raises(DataFormatError, match="is 20 x 10, expected 10 x 20"):
        COCO(tmp_path, tmp_path / "c.json")[0]


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    bad = {"image": np.zeros((3, 8, 8)), "boxes": np.array([[0, 0, np.inf, 8]]), "labels": np.array([0])}
    with pytest.raises(ArgError, match="not finite"):
        write_coco(tmp_path, [bad], ("a",))
    with pytest.raises((DataFormatError, BoxError, ArgError)):
        write_voc(tmp_path, [{**bad, "boxes": np.array([[0, 0, 9, 8]])}], ("a",))
    assert not list(tmp_path.rglob("*.png")) and not list(tmp_path.rglob("*.xml"))
    assert coco_dict([], ("a",)) == {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}


@pytest.mark.parametrize("label", [-1, 2, 0.5])
def test_labels_that_name_no_class_are_neither_written_nor_reported(label, tmp_path):
    sample = {"image": np.zeros((3, 8, 8)), "boxes": np.array([[0, 0, 4, 4.0]]), "labels": np.array([label])}
    with pytest.raises(ArgError, match="write_voc: labels"):
        write_voc(tmp_path, [sample], ("a", "b"))
    (tmp_path / "c.json").write_bytes(coco(annotations=[ANNOTATION]))
    data = COCO(tmp_path, tmp_path / "c.json")
    with pytest.raises(ArgError, match="COCO.results: labels"):
        data.results([{**sample, "scores": np.array([0.5])}] * len(data))
    assert not list(tmp_path.rglob("*.xml"))
