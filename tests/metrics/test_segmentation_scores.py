"""IoU and both accuracies on a map small enough to count by hand."""

import numpy as np
import pytest

from ccfpse.metrics.segmentation import Confusion

TRUTH = np.array([[0, 0, 0, 1], [1, 1, 255, 3]])  # three classes, so 3 and 255 are both unlabelled
PREDICTED = np.array([[0, 0, 1, 1], [1, 0, 0, 2]])


def test_scores_by_hand() -> None:
    confusion = Confusion.of(TRUTH, PREDICTED, 3)
    assert confusion.counts.tolist() == [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert confusion.unlabelled == 2
    # class 0: 2 of {3 true, 3 predicted} -> 2/4; class 1 the same; class 2 never, so it does not count
    assert confusion.class_iou.tolist()[:2] == [0.5, 0.5]
    assert np.isnan(confusion.class_iou[2])
    assert confusion.mean_iou == 0.5
    assert confusion.accuracy_labelled == 4 / 6
    assert confusion.accuracy_all == 4 / 8


def test_predicted_class_that_is_never_true_counts_as_zero() -> None:
    confusion = Confusion.of(np.array([0, 0]), np.array([0, 1]), 2)
    assert confusion.class_iou.tolist() == [0.5, 0.0]
    assert confusion.mean_iou == 0.25


def test_prediction_outside_the_label_space_is_wrong_but_no_class() -> None:
    confusion = Confusion.of(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), 2)
    assert confusion.class_iou.tolist() == [0.5, 1.0]
    assert confusion.accuracy_labelled == 0.75


def test_sum_scores_all_pixels_together() -> None:
    total = Confusion.of(TRUTH, PREDICTED, 3) + Confusion.of(np.array([[2]]), np.array([[2]]), 3)
    assert total.class_iou.tolist() == [0.5, 0.5, 1.0]
    assert total.accuracy_labelled == 5 / 7
    assert total.accuracy_all == 5 / 9


def test_nothing_labelled_gives_nan() -> None:
    confusion = Confusion.of(np.array([9]), np.array([0]), 2)
    assert np.isnan(confusion.mean_iou)
    assert np.isnan(confusion.accuracy_labelled)
    assert confusion.accuracy_all == 0


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\), predicted ones \(2, 3\)"):
        Confusion.of(TRUTH, PREDICTED[:, :3], 3)
