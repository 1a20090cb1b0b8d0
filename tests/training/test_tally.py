import pytest
import torch

from lumina_core.training.tally import NUM_TIMES, SIZES, Measured, Tally

CPU = torch.device("cpu")


def test_every_sample_is_counted_once_in_the_cell_of_its_modality_time_and_length():
    tally = Tally(["a", "b"], CPU)
    t = torch.tensor([0.0, 0.05, 0.1, 0.999, 1.0, 0.5])
    names, lengths = ["a", "b", "a", "b", "b", "a"], [1, 31, 32, 8191, 8192, 10**6]
    losses = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    tally.add(names, lengths, t, losses)
    tally.add(["b"], [8192], t[4:5], losses[4:5])
    sums, counts = tally.cells
    assert (counts.sum(), sums.sum()) == (7, 79)
    last, longest = NUM_TIMES - 1, len(SIZES)
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, last, longest - 1), (1, last, longest)]
    assert [sums[place].item() for place in places] == [1, 2, 4, 8, 32]
    assert [counts[place].item() for place in places] == [1, 1, 1, 1, 2]
    assert sums[0, 5, longest] == 32


def test_what_was_measured_is_means_over_the_samples_of_all_steps_then_it_begins_anew():
    measured = Measured(["a", "b", "c"])
    for loss, num_tokens in ((2.0, 30), (8.0, 10)):
        tally = Tally(["a", "b", "c"], CPU)
        t = torch.tensor([0.25, 0.25, 0.75])
        tally.add(["a", "a", "b"], [9, 9, 40], t, torch.tensor([loss, 1.0, 5.0]))
        measured.add(tally.cells, {"a": num_tokens, "b": 40}, gradient_norm=num_tokens)
    found = measured.take()
    assert found["loss"] == pytest.approx((2 + 1 + 5 + 8 + 1 + 5) / 6)
    assert found["gradient_norm"] == 20
    assert found["loss_of"] == {"a": 3.0, "b": 5.0}  # of c there was nothing
    assert found["loss_at"] == {"0.2": 3.0, "0.7": 5.0}
    assert found["loss_sized"] == {"0": 3.0, "32": 5.0}
    assert found["token_share"] == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    tally = Tally(["a", "b", "c"], CPU)
    tally.add(["c"], [9], torch.tensor([1.0]), torch.tensor([7.0]))
    measured.add(tally.cells, {"c": 9}, 1.0)
    assert measured.take()["loss_of"] == {"c": 7.0}
