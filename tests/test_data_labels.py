"""The order of names, and tables of labels as spreadsheets and people write them."""

from __future__ import annotations

import os

import pytest
from helpers.image_folders import fill, load, refusal
from hypothesis import given
from hypothesis import strategies as st

from ms_gan.labels import natural_order

# Natural order


@pytest.mark.parametrize(
    "ordered",
    [
        [str(number) for number in range(12)],
        ["-10", "-2", "-1.5", "0", "+1", "2", "10"],
        [".5", "0.7", "0.75", "1.", "1.5", "10.25"],
        ["\u22127", "-2", "3"],
        ["0", "00", "01", "1", "1.0"],
        ["img", "img2", "img10", "img10b", "img11"],
        ["a1b2", "a1b10", "a2b1", "a10"],
        ["Zebra", "ant", "bee"],
        ["1", "2", "10", "none"],
        ["/", "0", "9", "10", ":"],
        ["v1.2", "v1.10"],
        ["9" * 5000, "1" + "0" * 5000],
        ["class 9", "class 10", "class 10 b"],
        ["\u0663", "4", "10"],
        ["\u00b2", "\u00b3"],
        [],
    ],
)
def test_names_are_ordered_as_people_count(ordered):
    assert natural_order(ordered[::-1]) == ordered == natural_order(iter(ordered))


names = st.text(st.sampled_from("ab019 .-+\n\u0663\u00b2\u2212é") | st.characters(), max_size=6)


@given(st.lists(names, max_size=6), st.randoms())
def test_the_order_is_the_same_however_the_names_come(some, random):
    mixed = some[:]
    random.shuffle(mixed)
    assert natural_order(mixed) == natural_order(some) and sorted(natural_order(some)) == sorted(some)


@given(st.lists(st.text(st.characters(blacklist_categories=("Nd", "Cs")), max_size=5), max_size=6))
def test_names_without_digits_are_ordered_by_text(some):
    assert natural_order(some) == sorted(some)


def test_classes_and_tags_of_a_folder_are_in_natural_order(tmp_path):
    fill(tmp_path, [f"{number}/a.png" for number in range(12)])
    data = load(tmp_path, classes=12)
    assert data.classes == tuple(map(str, range(12)))
    assert [data.names[place] for place in data.labels.argsort()] == [f"{number}/a.png" for number in range(12)]
    assert data.names == tuple(sorted(data.names)), "images stay in the order of their checksum"
    assert f"12 classes: {', '.join(f'{number} (1)' for number in range(12))}" in " ".join(data.notes)
    rows = "".join(f"{name},t{place};t10;t9\n" for place, name in enumerate(data.names))
    (tmp_path / "labels.csv").write_text(f"file,tags\n{rows}")
    assert load(tmp_path, classes=12, max_tags=3).classes == tuple(f"t{number}" for number in range(12))


# Tables

FILES = ["a.png", "b.png", "sub/c.png"]
ROWS = "file,label\na.png,x\nb.png,y\n"


def table(home, text, names=FILES):
    return fill(home, names, {"labels.csv": text})


@pytest.mark.parametrize(
    "text",
    [
        ROWS + "sub/c.png,x\n,\n,,,\n",
        ROWS + "sub/c.png,x\n  \n\t\n , \n",
        ",\n,,,,\n" + ROWS + "sub/c.png,x",
        "file,label,,\na.png,x,,\nb.png,y, ,\t\nsub/c.png,x,\n",
        '""\n"",""\n' + ROWS + "sub/c.png,x\n",
    ],
)
def test_what_spreadsheets_leave_empty_is_skipped(tmp_path, text):
    assert load(table(tmp_path, text), classes=2).labels.tolist() == [0, 1, 0]


def test_what_is_not_empty_is_not_skipped(tmp_path):
    table(tmp_path, ROWS + "sub/c.png,x,,z\n")
    refusal(tmp_path, "line 4: has 4 column(s), not 2", classes=2)
    table(tmp_path, ROWS + "\n,,\nsub/c.png,,,\n")
    refusal(tmp_path, "line 6: the label is empty", classes=2)
    table(tmp_path, "file,tags,,\na.png,x;y,,\nb.png,,,\nsub/c.png,,\n")
    assert load(tmp_path, classes=2, max_tags=2).labels.tolist() == [[1, 2], [0, 0], [0, 0]]


WAYS = "{home}/sub/c.png {home}/../{name}/sub/c.png {home}//sub/./c.png ./sub/c.png .\\sub\\c.png sub\\c.png"


@pytest.mark.parametrize("cell", WAYS.split())
def test_every_way_to_write_a_path_in_the_folder(tmp_path, cell):
    table(tmp_path, ROWS + cell.format(home=tmp_path, name=tmp_path.name) + ",y\n")
    assert load(tmp_path, classes=2).labels.tolist() == [0, 1, 1]


def test_an_absolute_path_may_go_through_a_link_and_the_folder_be_named_from_within(tmp_path, monkeypatch):
    table(tmp_path / "home", ROWS + f"{tmp_path}/home/sub/c.png,y\n")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    assert load(tmp_path / "link", classes=2).labels.tolist() == [0, 1, 1]
    monkeypatch.chdir(tmp_path / "home")
    assert load(".", classes=2).labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "cell", ["/etc/c.png", "{home}x/sub/c.png", "{home}/../c.png", "C:\\c.png", "../c.png", "{home}"]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, cell):
    table(tmp_path, ROWS + cell.format(home=tmp_path) + ",y\n")
    refusal(tmp_path, "line 4: there is no image", classes=2)


@pytest.mark.parametrize(
    "text, line, by",
    [
        ("file;label\na.png;x\n", 1, "semicolons"),
        ("\n;;\nfile;tags;;\n", 2, "semicolons"),
        ("sep=;\nfile;label\n", 1, "semicolons"),
        ("file,label\na.png;x\n", 2, "semicolons"),
        ("file\tlabel\na.png\tx\n", 1, "tabs"),
        ("\ufefffile\ttags\t\n", 1, "tabs"),
        ("file,label\na.png\tx\n", 2, "tabs"),
        ("file|label\n", 1, "bars"),
    ],
)
def test_a_table_without_commas_is_told_what_separates_it(tmp_path, text, line, by):
    table(tmp_path, text)
    refusal(tmp_path, f"line {line}: the columns are separated by {by}", "save the file with commas", classes=2)


@pytest.mark.parametrize("name", ["Labels.csv", "LABELS.CSV", "labels.CSV"])
def test_a_table_in_capital_letters_is_read(tmp_path, name):
    fill(tmp_path, FILES, {name: ROWS + "sub/c.png,y\n"})
    data = load(tmp_path, classes=2)
    assert data.labels.tolist() == [0, 1, 1] and not any("left out" in note for note in data.notes)
    (tmp_path / "labels.csv").write_text(ROWS + "sub/c.png,x\n")
    assert load(tmp_path, classes=2).labels.tolist() == [0, 1, 0], "the one that is spelt as asked for"


def test_two_tables_of_which_none_is_spelt_as_asked_for_are_refused(tmp_path):
    fill(tmp_path, FILES, {"LABELS.CSV": ROWS + "sub/c.png,x\n", "Labels.csv": ROWS + "sub/c.png,y\n"})
    if len(list(tmp_path.glob("*[vV]"))) < 2:
        pytest.skip("this file system takes them for one")
    refusal(tmp_path, f"{tmp_path}/LABELS.CSV: lies beside Labels.csv", "leave one of them, as labels.csv", classes=2)
    assert load(tmp_path).why_unlabelled.startswith("LABELS.CSV: lies beside Labels.csv")


# Names that are not UTF-8

STRANGE = os.fsdecode(b"caf\xe9")


def test_classes_whose_names_are_not_utf_8_are_refused(tmp_path):
    fill(tmp_path, [f"{STRANGE}/a.png", "dog/b.png"])
    refusal(tmp_path, "caf\\udce9: 'caf\\udce9' holds a comma, a line break or what is not UTF-8", classes=2)
    assert len(load(tmp_path).names) == 2


def test_a_folder_whose_own_name_is_strange_is_named_in_one_line(tmp_path):
    home = tmp_path / f"{STRANGE}\nx"
    fill(home, ["a.png", "b.png"])
    assert load(home).source == f"the folder {tmp_path}/caf\\udce9\\nx"
    (home / "a.png").write_bytes(b"?")
    refusal(home, "caf\\udce9\\nx/a.png")
