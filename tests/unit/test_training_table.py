"""The table of trainings: in the order of its designs, and with what it shows in words."""

from tests.benchmarks.training_table import table


def cell(simulated, teacher=None):
    return {
        "accuracy": {"simulated": simulated, "teacher": teacher},
        "teacher": teacher,
        "macs": {"digital": 1, "elementwise": 1},
        "parameters": 1,
        "images_per_s": 1.0,
        "seconds": {"student": 1.0},
        "date": "2026-11-27",
    }


def test_rows_stand_in_the_order_of_designs_and_methods_whenever_they_were_made():
    names = ["mnist/mnist-lens/kd/0", "mnist/mnist-mono/kd/0/1000", "mnist/mnist-mono/kd/0", "mnist/mnist-mono/none/0"]
    rows = [
        line.split(" | ")[:3] for line in table({name: cell(90.0) for name in names}).splitlines() if "| mnist" in line
    ]
    assert [" ".join(row).removeprefix("| ") for row in rows] == [
        "mnist-mono none all", "mnist-mono kd all", "mnist-mono kd 1000", "mnist-lens kd all",
    ]  # fmt: skip


def test_it_says_where_ntkd_stands_and_what_trained_optics_are_worth():
    made = {
        f"mnist/{design}/{method}/{seed}": cell(mean + (seed - 0.5) * 0.2, 99.3)
        for design, method, mean in (
            ("mnist-mono", "none", 99.0), ("mnist-mono", "kd", 99.1), ("mnist-mono", "ntkd", 98.0),
            ("mnist-lens", "kd", 95.0),
        )
        for seed in (0, 1)
    }  # fmt: skip
    said = table(made)
    assert "Best on trained optics: kd (mnist-mono), 99.10 +- 0.14." in said
    assert "without a teacher: 99.00 +- 0.14, 0.10 below, within a standard deviation." in said
    assert "NTKD alone: 98.00 +- 0.14, 1.10 below." in said
    assert "Best behind a lens: kd (mnist-lens), 95.00 +- 0.14: trained optics are worth +4.10 points." in said
    assert "random" not in said


def test_of_one_seed_it_says_so_and_without_trained_optics_nothing():
    assert "99.00, 0.10 below (of one seed)" in table(
        {"mnist/mnist-mono/none/0": cell(99.0), "mnist/mnist-mono/kd/0": cell(99.1)}
    )
    assert "Best" not in table({"mnist/mnist-lens/none/0": cell(95.0)})


def test_what_was_made_twice_stands_beside_what_it_was():
    again = {"again": {"value": 98.9, "date": "2026-11-28"}}
    said = table({"mnist/mnist-mono/none/0": cell(99.0) | again, "mnist/mnist-mono/kd/0": cell(99.1)})
    assert "with `--again`: mnist-mono/none/0 98.90 (in the table: 99.00)." in said


def test_few_labels_have_a_sentence_of_their_own():
    made = {"mnist/mnist-mono/kd/0": cell(99.0)}
    made |= {f"mnist/mnist-mono/{method}/0/1000": cell(value) for method, value in (("none", 95.0), ("kd", 98.0))}
    assert "With 1,000 labels, best: kd, 98.00; without a teacher 95.00." in table(made)
