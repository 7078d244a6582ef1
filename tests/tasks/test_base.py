"""What all tasks share, with the copy task as the example, and the registry of tasks."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tasks import AssociativeRecall, Batch, Copy, NGrams, PrioritySort, RepeatCopy, Task

SIZES: dict[str, Any] = {
    "name": "copy",
    "bits": 2,
    "zero_rate": 0.0,
    "near_duplicate_rate": 0.0,
    "min_length": 2,
    "max_length": 5,
    "lengths": "sequence",
}


def make(**changes: Any) -> Copy:
    return Copy(**{**SIZES, **changes})


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_equal(first: Batch, second: Batch) -> None:
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


# Two sequences of two steps and two bits; the first sequence has one step that counts.
TARGETS = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 1]]], np.float32)
WEIGHTS = np.array([[[1, 1], [0, 0]], [[1, 1], [1, 1]]], np.float32)
BATCH = Batch(np.zeros((2, 2, 4), np.float32), TARGETS, WEIGHTS, np.ones((2, 2), bool), None)


class TestScore:
    def test_against_numbers_by_hand(self) -> None:
        probabilities = np.array([[[0.25, 0.5], [0.9, 0.9]], [[0.5, 1.0], [0.75, 0.125]]])
        scores = make().score(BATCH, probabilities)
        # 0.25 for a 1 costs 2 bits and is wrong, 0.5 for a 0 costs 1 bit and is right.
        # 0.5 for a 1 costs 1 and is wrong, 1.0 for a 1 nothing, 0.75 for a 0 costs 2 and is
        # wrong, 0.125 for a 1 costs 3 and is wrong.
        np.testing.assert_array_equal(scores["bit_errors"], [1, 3])
        np.testing.assert_array_equal(scores["bits"], [2, 4])
        np.testing.assert_allclose(scores["loss_bits"], [3, 6], atol=1e-6)

    def test_summary_is_over_all_sequences(self) -> None:
        scores = {
            "bit_errors": np.array([0.0, 3.0, 0.0, 0.0]),
            "bits": np.array([2.0, 10.0, 4.0, 4.0]),
            "loss_bits": np.array([0.5, 6.0, 0.5, 1.0]),
        }
        assert make().summarise(scores) == {
            "bit_errors_per_sequence": 0.75,
            "bit_accuracy": pytest.approx(17 / 20),
            "sequences_correct": 0.75,
            "loss_bits_per_sequence": 2.0,
        }

    def test_certain_and_wrong_costs_a_finite_amount(self) -> None:
        scores = make().score(BATCH, 1 - TARGETS)
        np.testing.assert_allclose(scores["loss_bits"] / scores["bits"], -np.log2(1e-7))

    def test_certain_and_right_costs_nothing(self) -> None:
        scores = make().score(BATCH, TARGETS)
        np.testing.assert_allclose(scores["loss_bits"], 0, atol=1e-5)
        np.testing.assert_array_equal(scores["bit_errors"], 0)

    def test_half_precision_is_scored_in_full(self) -> None:
        third = np.float16(1 / 3)
        one, zero = -np.log2(np.float64(third)), -np.log2(1 - np.float64(third))
        scores = make().score(BATCH, np.full(TARGETS.shape, third))
        np.testing.assert_allclose(scores["loss_bits"], [one + zero, 3 * one + zero], rtol=1e-9)

    def test_not_a_number_is_an_error_for_either_target(self) -> None:
        scores = make().score(BATCH, np.full(TARGETS.shape, np.nan))
        np.testing.assert_array_equal(scores["bit_errors"], scores["bits"])
        assert np.isnan(scores["loss_bits"]).all()


class TestSample:
    def test_the_same_generator_gives_the_same_batch(self) -> None:
        assert_equal(make().sample(generator(), 8), make().sample(generator(), 8))
        first, second = (make().sample(generator(seed), 8).inputs for seed in (0, 1))
        assert (first != second).any()

    def test_a_generator_goes_on(self) -> None:
        rng = generator()
        assert (make().sample(rng, 8).inputs != make().sample(rng, 8).inputs).any()

    def test_sizes_are_drawn_from_the_whole_range_evenly(self) -> None:
        lengths = (make().sample(generator(), 4000).mask.sum(1) - 2) // 2
        values, counts = np.unique(lengths, return_counts=True)
        np.testing.assert_array_equal(values, [2, 3, 4, 5])
        np.testing.assert_allclose(counts, 1000, atol=150)

    def test_one_draw_a_batch(self) -> None:
        task, rng = make(lengths="batch"), generator()
        lengths = [np.unique(task.sample(rng, 4).mask.sum(1)).tolist() for _ in range(60)]
        assert sorted({tuple(length) for length in lengths}) == [(6,), (8,), (10,), (12,)]

    @pytest.mark.parametrize(
        ("reach", "expected"),
        # Of 2 to 5: three more sizes, of which this share is drawn, rounded.
        [(0.0, [2]), (0.1, [2]), (0.3, [2, 3]), (0.7, [2, 3, 4]), (1.0, [2, 3, 4, 5])],
    )
    def test_training_sizes_reach_so_far(self, reach: float, expected: list[int]) -> None:
        batch = make().training_sample(generator(), 400, reach)
        assert np.unique((batch.mask.sum(1) - 2) // 2).tolist() == expected
        assert batch.inputs.shape[1] == make().max_steps

    @pytest.mark.parametrize(("lengths", "each"), [("batch", 1), ("sequence", 200)])
    def test_several_batches_in_one_have_their_own_reach(self, lengths: str, each: int) -> None:
        """Of lengths 2 to 5, at most 2, 5 and 3 in the three of each round."""
        reach = np.tile([0.0, 1.0, 0.3], 40)
        batch = make(lengths=lengths).training_sample(generator(), 200, reach)
        drawn = ((batch.mask.sum(1) - 2) // 2).reshape(40, 3, 200)
        most = [len(np.unique(sizes)) for sizes in drawn.reshape(120, 200)]
        assert max(most) == min(each, 4)
        for place, longest in enumerate((2, 5, 3)):
            assert np.unique(drawn[:, place]).tolist() == list(range(2, longest + 1))

    def test_default_steps(self) -> None:
        for seed in range(5):
            batch = make(lengths="batch").sample(generator(seed), 3)
            assert batch.inputs.shape == (3, make().max_steps, 4)
        assert make().sample(generator(), 3, length=4).inputs.shape == (3, 10, 4)

    def test_padding_does_not_change_the_sequences(self) -> None:
        short, long = make().sample(generator(), 8), make().sample(generator(), 8, steps=50)
        for left, right in zip(short[:4], long[:4], strict=True):
            np.testing.assert_array_equal(left, right[:, : make().max_steps])
            assert not right[:, make().max_steps :].any()

    def test_types(self) -> None:
        batch = make().sample(generator(), 2)
        assert [array.dtype for array in batch[:4]] == [np.float32] * 3 + [np.bool_]

    def test_too_few_steps_are_refused_whatever_is_drawn(self) -> None:
        with pytest.raises(ValueError, match=r"steps=11 .* length=5, which takes 12"):
            make().sample(generator(), 1, steps=11)

    def test_unknown_and_meaningless_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"no size 'lenght' \(did you mean 'length'\?\)"):
            make().sample(generator(), 1, lenght=3)
        with pytest.raises(ValueError, match=r"length=0: copy needs at least 1"):
            make().sample(generator(), 1, length=0)


class TestCases:
    def test_parse(self) -> None:
        assert make().parse_case("length=40") == {"length": 40}
        assert make().parse_case(" length = 40 ") == {"length": 40}

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("lenght=20", r"no size 'lenght' \(did you mean 'length'\?\)"),
            ("repeats=20", r"no size 'repeats'\."),
            ("20", r"'20' has no '='"),
            ("", r"'' has no '='"),
            ("length=", r"length= is not a whole number of at least 1"),
            ("length=ten", r"length=ten is not a whole number"),
            ("length=1.5", r"length=1.5 is not a whole number"),
            ("length=0", r"length=0 is not a whole number of at least 1"),
            ("length=-4", r"length=-4 is not a whole number"),
            ("length=²", r"length=² is not a whole number"),
            ("length=2,length=3", r"length is given twice"),
            ("length=2,", r"'' has no '='"),
            ("length=2147483648", r"length is larger than 2147483647"),
        ],
    )
    def test_a_bad_case_is_named_with_the_right_form(self, text: str, problem: str) -> None:
        with pytest.raises(ValueError, match=problem) as error:
            make().parse_case(text)
        assert repr(text) in str(error.value)
        assert "the form 'length=5'" in str(error.value)

    def test_a_size_of_thousands_of_digits_is_refused_in_short(self) -> None:
        """Python refuses to read a number of more than 4,300 digits."""
        with pytest.raises(ValueError, match="length is larger than 2147483647") as error:
            make().parse_case(f"length={'9' * 5000}")
        assert len(str(error.value)) < 300

    def test_zeros_in_front_of_a_size_do_not_count(self) -> None:
        assert make().parse_case(f"length={'0' * 5000}7") == {"length": 7}

    def test_the_solved_case_is_the_longest_training_length(self) -> None:
        assert make(max_length=33).solved_case() == "length=33"
        assert "length=33" in make(max_length=33).cases()

    def test_steps_wants_all_sizes(self) -> None:
        assert make().steps(length=7) == 16
        with pytest.raises(ValueError, match="needs the sizes length; given: none"):
            make().steps()


class TestFields:
    def test_a_range_out_of_order(self) -> None:
        with pytest.raises(
            ValueError, match=r"task.min_length=30 is larger than task.max_length=20"
        ):
            make(min_length=30, max_length=20)

    @pytest.mark.parametrize("field", ["bits", "min_length", "max_length"])
    def test_sizes_are_whole_numbers_of_a_machine(self, field: str) -> None:
        with pytest.raises(ValueError, match=rf"task.{field}=2147483648 must be at most"):
            make(**{field: 2**31})

    @pytest.mark.parametrize("field", ["bits", "min_length", "max_length"])
    def test_sizes_are_positive(self, field: str) -> None:
        with pytest.raises(ValueError, match=rf"task.{field}=0 must be at least 1"):
            make(**{field: 0})

    def test_lengths_is_one_of_two(self) -> None:
        with pytest.raises(ValueError, match=r"'bach' is not known \(did you mean 'batch'\?\)"):
            make(lengths="bach")


@pytest.mark.parametrize("task", [Copy, RepeatCopy, AssociativeRecall, NGrams, PrioritySort])
def test_no_task_has_a_default(task: type[Task]) -> None:
    for field in dataclasses.fields(task):
        assert field.default is dataclasses.MISSING, field.name
        assert field.default_factory is dataclasses.MISSING, field.name


def test_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, tasks; "
        "print({'hydra', 'omegaconf', 'keras', 'tensorflow', 'ntm'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
