"""Series selectors as people write them."""

import pytest

from canary.errors import InvalidError
from canary.metrics.selectors import Matcher, Selector, parse_selector


def test_a_bare_name_selects_all_its_series() -> None:
    assert parse_selector(" checkout_total ") == Selector("checkout_total")
    assert parse_selector("checkout_total{}").accepts({"anything": "x"})


def test_every_kind_of_matcher_is_understood() -> None:
    selector = parse_selector('a:b{x="1", y!="2",z=~"p|q.*",w!~"r" ,}')
    assert selector.accepts({"x": "1", "z": "qqq"})
    assert not selector.accepts({"x": "2", "z": "p"})
    assert not selector.accepts({"x": "1", "y": "2", "z": "p"})
    assert not selector.accepts({"x": "1", "z": "xp"})
    assert not selector.accepts({"x": "1", "z": "p", "w": "r"})


def test_a_regular_expression_must_match_the_whole_label_and_a_missing_label_is_empty() -> None:
    assert not parse_selector('a{x=~"5"}').accepts({"x": "500"})
    assert parse_selector('a{x=~"5?"}').accepts({})
    assert parse_selector('a{x=""}').accepts({})


def test_what_is_written_out_reads_back_the_same() -> None:
    selector = Selector("a", (Matcher("x", "=~", 'a\\.b"c\n'), Matcher("y", "!=", "{,}")))
    assert parse_selector(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begin with the name"),
        ("rate(a[5m])", "after rate"),
        ("a{x=1}", "is not a matcher"),
        ('a{x="1"', "after a there is"),
        ('a{x="1"}[5m]', "after a there is"),
        ('a{x=~"("}', "is not a regular expression"),
        ('a{x="1" y="2"}', "is not a matcher"),
    ],
)
def test_what_is_no_selector_is_refused_with_what_is_wanted(text: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as caught:
        parse_selector(text)
    assert "checkout_failed_total{" in caught.value.remedy
