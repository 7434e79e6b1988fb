"""What conditions mean, and what is said of texts that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.rules.condition import All, Compare, Condition, Fact, Held, Meaning, Not, Some, longest_s, names
from canary.rules.grammar import DEEPEST, LONGEST, ConditionError, parse
from canary.rules.quantity import Kind

WORDS = {
    name: Meaning(kind, name)
    for name, kind in {
        "cpu_usage": Kind.SHARE,
        "memory_usage": Kind.SHARE,
        "memory_bytes": Kind.BYTES,
        "network_connections": Kind.NUMBER,
        "restarts": Kind.NUMBER,
        "runtime": Kind.SECONDS,
        "process_privileges_changed": Kind.FLAG,
        "checkout-failures": Kind.SHARE,
    }.items()
}


def said(text: str) -> str:
    with pytest.raises(ConditionError) as fault:
        parse(text, WORDS)
    return fault.value.pointed


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("network_connections > 0", Compare("network_connections", ">", 0.0, Kind.NUMBER, "0")),
        ("memory_usage > 90%", Compare("memory_usage", ">", 0.9, Kind.SHARE, "90%")),
        ("cpu_usage > 95% for 30s", Held(Compare("cpu_usage", ">", 0.95, Kind.SHARE, "95%"), 30.0, "30s")),
        ("runtime > 3600s", Compare("runtime", ">", 3600.0, Kind.SECONDS, "3600s")),
        ("process_privileges_changed", Fact("process_privileges_changed")),
        ("not process_privileges_changed", Not(Fact("process_privileges_changed"))),
        ("runtime<=1h30m", Compare("runtime", "<=", 5400.0, Kind.SECONDS, "1h30m")),
        ("runtime != 250 ms", Compare("runtime", "!=", 0.25, Kind.SECONDS, "250 ms")),
        ("memory_bytes >= 1.5GiB", Compare("memory_bytes", ">=", 1.5 * 2**30, Kind.BYTES, "1.5GiB")),
        ("memory_bytes < 5 MB", Compare("memory_bytes", "<", 5e6, Kind.BYTES, "5 MB")),
        ("memory_bytes == 1024", Compare("memory_bytes", "==", 1024.0, Kind.BYTES, "1024")),
        ("checkout-failures > 0.5%", Compare("checkout-failures", ">", 0.005, Kind.SHARE, "0.5%")),
    ],
)
def test_a_condition_means_what_it_says(text: str, meant: Condition) -> None:
    assert parse(text, WORDS) == meant


A, B, C = (
    Compare(name, ">", 1.0, Kind.NUMBER, "1") for name in ("restarts", "network_connections", "restarts")
)
FACT = Fact("process_privileges_changed")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("restarts > 1 and network_connections > 1", All((A, B))),
        ("restarts > 1 or network_connections > 1 and restarts > 1", Some((A, All((B, C))))),
        ("(restarts > 1 or network_connections > 1) and restarts > 1", All((Some((A, B)), C))),
        ("restarts > 1 and network_connections > 1 for 5s", All((A, Held(B, 5.0, "5s")))),
        ("(restarts > 1 and network_connections > 1) for 5s", Held(All((A, B)), 5.0, "5s")),
        ("not process_privileges_changed for 5s", Held(Not(FACT), 5.0, "5s")),
        ("not (process_privileges_changed for 5s)", Not(Held(FACT, 5.0, "5s"))),
    ],
)
def test_not_binds_tightest_then_for_then_and_then_or(text: str, meant: Condition) -> None:
    assert parse(text, WORDS) == meant


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "found nothing, wanted a condition such as"),
        ("memroy_usage > 3%", 1, "memroy_usage is not known here; did you mean memory_usage?"),
        (
            "restarts > 1 or sheep > 2",
            17,
            "sheep is not known here; wanted one of checkout-failures, cpu_usage",
        ),
        ("memory_usage > 30s", 16, "found 30s, but memory_usage is a share: wanted a percentage such as 90%"),
        ("memory_usage > 90 for 30s", 16, "found 90, but memory_usage is a share: wanted a percentage"),
        ("runtime > 3600", 11, "found 3600, but runtime is a time: wanted a time such as 30s"),
        ("runtime > 30sec", 11, "found 30sec, but runtime is a time: wanted a time such as 30s"),
        ("memory_bytes > 5 apples", 16, "found 5 apples, but memory_bytes is a size: wanted a size"),
        ("restarts > 90%", 12, "found 90%, but restarts is a plain number: wanted a plain number such as 3"),
        ("memory_usage", 1, "found memory_usage alone, which is a share; wanted a comparison"),
        ("process_privileges_changed > 1", 28, "is so or is not: write it alone"),
        ("memory_usage >", 15, "found the end, wanted a number"),
        ("memory_usage >  ", 15, "found the end, wanted a number"),
        ("memory_usage >> 3%", 15, "found `>`, wanted a number"),
        ("memory_usage = 3%", 14, "found `=`, wanted one of > >= < <= == !="),
        ("memory_usage > 90% fro 30s", 20, "found `fro`, wanted for, and, or, its end"),
        ("memory_usage > 90% AND restarts > 1", 20, "found `AND`, wanted for, and, or, its end"),
        ("memory_usage > 90% for ever", 24, "found `ever`, wanted a number"),
        ("restarts > 1 for 3", 18, "found 3, wanted a time such as 30s"),
        ("restarts > 1 for 0s", 18, "found 0s, wanted a time above 0s"),
        ("(restarts > 1", 14, "found the end, wanted )"),
        ("restarts > 1)", 13, "found `)`, wanted its end"),
        ("restarts > 1 and", 17, "found the end, wanted the name of a metric, (, not"),
        ("not", 4, "found the end, wanted the name of a metric, (, not"),
    ],
)
def test_a_fault_is_told_with_its_column_and_a_caret_under_it(text: str, column: int, told: str) -> None:
    first, shown, caret = said(text).split("\n")
    assert first.startswith(f"column {column}: ")
    assert told in first
    assert (shown, caret) == (f"    {text}", f"    {' ' * (column - 1)}^")


def test_a_caret_is_under_its_place_in_a_long_condition_too() -> None:
    text = " or ".join(["restarts > 1"] * 30) + " or sheep > 1"
    _, shown, caret = said(text).split("\n")
    assert shown[caret.index("^") :].startswith("sheep")
    assert len(shown) <= 100


def test_conditions_have_an_end() -> None:
    assert "characters, wanted at most" in said("restarts > 1 or " * LONGEST)
    assert f"more than {DEEPEST} deep" in said("not " * (DEEPEST + 2) + "process_privileges_changed")


def test_a_condition_on_several_lines_is_one() -> None:
    assert parse("restarts > 1\n  and network_connections > 1", WORDS) == All((A, B))


def test_what_it_speaks_of_and_how_far_it_looks_back_are_known() -> None:
    found = parse("(restarts > 1 for 1m or process_privileges_changed) for 30s", WORDS)
    assert names(found) == {"restarts", "process_privileges_changed"}
    assert longest_s(found) == 90.0


def compared() -> st.SearchStrategy[str]:
    operators = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
    return st.builds(lambda operator, n: f"restarts {operator} {n}", operators, st.integers(0, 99))


TEXTS = st.recursive(
    compared() | st.just("process_privileges_changed"),
    lambda inner: st.one_of(
        st.builds(lambda one: f"not ({one})", inner),
        st.builds(lambda one, n: f"({one}) for {n}s", inner, st.integers(1, 90)),
        st.builds(
            lambda some: " and ".join(f"({one})" for one in some), st.lists(inner, min_size=2, max_size=3)
        ),
        st.builds(
            lambda some: " or ".join(f"({one})" for one in some), st.lists(inner, min_size=2, max_size=3)
        ),
    ),
    max_leaves=6,
)


@given(TEXTS)
def test_what_is_read_is_written_so_that_it_reads_the_same(text: str) -> None:
    found = parse(text, WORDS)
    assert parse(str(found), WORDS) == found


@given(st.text(alphabet="restarts >=<!()%0123456789.and or not for s\n\t#é", max_size=40))
def test_any_text_is_a_condition_or_a_fault_with_a_place_in_it(text: str) -> None:
    found: ConditionError | None = None
    try:
        parse(text, WORDS)
    except ConditionError as fault:
        found = fault
    if found is not None:
        assert 1 <= found.column <= len(text) + 1
        assert len(found.pointed.split("\n")) == 3
