"""From cumulative counters to increments, one pod at a time."""

from math import inf, nan

import pytest

from canary.core.counters import PodCounters, categories, gains, is_torn
from canary.core.observation import Arm
from canary.core.samples import Sample

RATIOS = frozenset({"errors"})
NEVER = 1e9


def fed(
    *scrapes: tuple[float, float, float] | tuple[float, float, float, float], from_zero: bool = False
) -> PodCounters:
    """A pod after scrapes of (at, bad, all) or (at, bad, all, started)."""
    pod = PodCounters(Arm.STABLE, from_zero=from_zero, born=0.0)
    for at, bad, total, *started in scrapes:
        feed(pod, at, {"errors": (bad, total)}, started[0] if started else None)
    return pod


def feed(
    pod: PodCounters,
    at: float,
    counters: dict[str, tuple[float, ...]],
    started: float | None = None,
    silence_s: float = NEVER,
) -> None:
    sample = Sample("a", Arm.STABLE, at, counters, started)
    pod.feed(sample, categories(counters, RATIOS), silence_s=silence_s)


def test_the_first_scrape_of_an_old_pod_is_only_a_base() -> None:
    assert fed((10, 3, 100)).take() == {}
    assert fed((10, 3, 100), (25, 4, 110)).take() == {"errors": (9, 1)}


def test_a_newborn_pod_counts_from_zero() -> None:
    pod = fed((10, 3, 100), from_zero=True)
    assert pod.since == 0.0
    assert pod.take() == {"errors": (97, 3)}


def test_a_metric_that_appears_later_in_a_pod_already_scraped_counts_whole() -> None:
    pod = PodCounters(Arm.STABLE, from_zero=False, born=0.0)
    feed(pod, 10, {})
    feed(pod, 25, {"errors": (1, 7)})
    assert pod.since == 10
    assert pod.take() == {"errors": (6, 1)}


def test_a_metric_that_comes_back_counts_from_where_it_was() -> None:
    pod = PodCounters(Arm.STABLE, from_zero=False, born=0.0)
    feed(pod, 10, {"errors": (0, 100), "latency": (50, 100)})
    feed(pod, 25, {"latency": (55, 110)})
    feed(pod, 40, {"errors": (1, 120), "latency": (60, 120)})
    assert pod.take() == {"errors": (19, 1), "latency": (10, 10)}


def test_a_decrease_with_a_new_process_start_is_a_reset_and_counts_whole() -> None:
    pod = fed((10, 3, 100, 1), (25, 1, 8, 20))
    assert pod.since == 20
    assert pod.take() == {"errors": (7, 1)}


def test_a_new_process_that_has_overtaken_the_old_one_counts_whole_too() -> None:
    assert fed((10, 0, 5, 1), (25, 1, 8, 20)).take() == {"errors": (7, 1)}


def test_a_start_that_wobbles_by_rounding_is_no_restart() -> None:
    assert fed((1.5, 0, 100, 1), (16.5, 0, 110, 2), (31.5, 0, 120, 1)).take() == {"errors": (20, 0)}
    assert fed((1.5, 0, 100, 1), (16.5, 0, 90, 2)).take() == {}


def test_a_scrape_of_the_process_before_is_left_out() -> None:
    pod = fed((10, 0, 1000, 1), (25, 0, 5, 20), (40, 0, 1010, 1), (55, 0, 10, 20))
    assert pod.take() == {"errors": (10, 0)}


def test_a_decrease_without_a_new_start_invents_nothing() -> None:
    assert fed((10, 3, 100, 1), (25, 2, 90, 1)).take() == {}


def test_a_replica_one_scrape_behind_invents_nothing() -> None:
    pod = fed((0, 0, 100), (15, 0, 110), (30, 0, 100), (45, 0, 110), (60, 0, 120))
    assert pod.take() == {"errors": (20, 0)}


def test_after_a_gap_the_difference_to_the_old_base_counts_when_it_is_passed() -> None:
    assert fed((0, 0, 100), (15, 0, 90), (30, 2, 130)).take() == {"errors": (28, 2)}


def test_after_a_gap_a_counter_that_goes_on_from_below_counts_from_there() -> None:
    pod = fed((0, 0, 100), (15, 0, 4), (30, 1, 10))
    assert pod.since == 15
    assert pod.take() == {"errors": (5, 1)}
    feed(pod, 45, {"errors": (1, 20)})
    assert pod.take() == {"errors": (10, 0)}


def test_two_falls_in_a_row_wait_for_the_second_to_be_explained() -> None:
    assert fed((0, 0, 100), (15, 0, 50), (30, 0, 4), (45, 0, 9)).take() == {"errors": (5, 0)}
    assert fed((0, 0, 100), (15, 0, 50), (30, 0, 4), (45, 0, 101)).take() == {"errors": (1, 0)}


@pytest.mark.parametrize("torn", [(9, 8), (-1, 120), (nan, 120), (1, nan), (1, inf)])
def test_a_torn_scrape_is_covered_by_the_next_difference(torn: tuple[float, float]) -> None:
    assert fed((0, 0, 5), (15, *torn), (30, 2, 10)).take() == {"errors": (3, 2)}
    assert fed((0, *torn), (15, 0, 5), (30, 2, 10)).take() == {"errors": (3, 2)}


def test_a_bad_one_counted_before_its_request_waits_for_the_next_scrape() -> None:
    assert fed((0, 5, 10), (15, 7, 11)).take() == {}
    assert fed((0, 5, 10), (15, 7, 11), (30, 7, 13)).take() == {"errors": (1, 2)}


def test_buckets_that_are_not_monotone_make_the_whole_scrape_torn() -> None:
    assert is_torn(categories({"errors": (0, 5), "latency": (3, 2, 5)}, RATIOS))
    assert is_torn(categories({"latency": (3, 4, 3)}, RATIOS))
    assert not is_torn(categories({"latency": (3, 3, 5)}, RATIOS))


def test_a_histogram_is_counted_per_bucket() -> None:
    assert categories({"latency": (3, 5, 9)}, RATIOS) == {"latency": (3, 2, 4)}


def test_a_hole_is_not_counted() -> None:
    pod = PodCounters(Arm.STABLE, from_zero=False, born=0.0)
    for at, total in ((0, 100), (15, 110), (100, 500), (115, 510)):
        feed(pod, at, {"errors": (0, total)}, silence_s=45)
    assert pod.take() == {"errors": (20, 0)}


def test_a_metric_missing_after_a_hole_does_not_count_whole_when_it_shows_again() -> None:
    pod = PodCounters(Arm.STABLE, from_zero=False, born=0.0)
    feed(pod, 0, {"errors": (0, 100)}, silence_s=45)
    feed(pod, 100, {}, silence_s=45)
    feed(pod, 115, {"errors": (0, 500)}, silence_s=45)
    feed(pod, 130, {"errors": (0, 501)}, silence_s=45)
    assert pod.take() == {"errors": (1, 0)}


def test_after_other_bucket_bounds_the_next_value_is_only_a_base() -> None:
    pod = PodCounters(Arm.STABLE, from_zero=False, born=0.0)
    feed(pod, 0, {"latency": (1, 2, 3)})
    feed(pod, 15, {"latency": (2, 3, 4)})
    pod.forget("latency")
    feed(pod, 30, {"latency": (4, 9)})
    feed(pod, 45, {"latency": (4, 10)})
    assert pod.take() == {"latency": (0, 1)}


def test_categories_that_changed_in_number_are_not_subtracted() -> None:
    assert gains({"latency": (4.0, 5.0)}, {"latency": (1.0, 2.0, 3.0)}) == {}


def test_a_clone_is_independent() -> None:
    pod = fed((0, 0, 5), (15, 0, 10))
    copy = pod.clone()
    feed(copy, 30, {"errors": (0, 20)})
    assert pod.take() == {"errors": (5, 0)}
    assert copy.take() == {"errors": (15, 0)}
