"""Benchmarks write their own section of the results and leave the others alone."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.benchmarks.results import keep_cell, read_cells, write_section


def test_a_section_is_replaced_in_its_place_and_others_are_kept(tmp_path):
    path = tmp_path / "docs" / "results.md"
    write_section("ntk", "## Kernels\n\nold", path)
    write_section("world", "## World\n\nfast \\1", path)
    before = path.read_text()
    write_section("ntk", "## Kernels\n\nnew", path)
    assert path.read_text() == before.replace("old", "new")
    assert before.startswith("# Measured figures")
    assert before.index("Kernels") < before.index("World")


def test_text_by_hand_is_kept(tmp_path):
    path = tmp_path / "results.md"
    path.write_text("# Mine\n\nby hand\n")
    write_section("ntk", "figures", path)
    assert path.read_text() == "# Mine\n\nby hand\n\n<!-- begin ntk -->\nfigures\n<!-- end ntk -->\n"


def test_names_that_would_break_a_marker(tmp_path):
    with pytest.raises(ValueError, match="lower-case"):
        write_section("a -->", "x", tmp_path / "results.md")


def test_cells_of_several_processes_all_stay(tmp_path):
    file = tmp_path / "results" / "speed.json"
    assert read_cells(file) == {}
    assert keep_cell(file, "ours", 1) == {"ours": 1}
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        for done in [processes.submit(keep_cell, file, f"theirs {number}", number) for number in range(40)]:
            done.result()
    assert read_cells(file) == {"ours": 1} | {f"theirs {number}": number for number in range(40)}
