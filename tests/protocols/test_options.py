"""What batteries may be told: each kind from text and from TOML's types, and mistakes that name the option."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import UsageError
from portside.protocols.options import (
    DURATION,
    NUMBER,
    PATH,
    RATE,
    SIZE,
    SIZE_RATE,
    SWITCH,
    TEXT,
    BatteryOption,
    Kind,
    choice,
    nearest,
    read_value,
)

CHOICE = choice("off", "required")


def option_of(kind: Kind, *, repeats: bool = False, default: str | None = "1") -> BatteryOption:
    return BatteryOption("depth", kind, default, "how deep", repeats=repeats)


@pytest.mark.parametrize(
    ("kind", "given_value", "value"),
    [
        (TEXT, "a b", "a b"),
        (PATH, "/a", "/a"),
        (NUMBER, "12", 12),
        (NUMBER, 12, 12),
        (NUMBER, "10_000", 10_000),
        (SWITCH, "on", True),
        (SWITCH, "False", False),
        (SWITCH, True, True),
        (SWITCH, False, False),
        (DURATION, "5m", 300.0),
        (DURATION, "0", 0.0),
        (DURATION, 90, 90.0),
        (DURATION, 100.0, 100.0),
        (DURATION, 0.25, 0.25),
        (SIZE, "64KiB", 65_536),
        (SIZE, 4_096, 4_096),
        (RATE, "500/s", 500.0),
        (RATE, 0.5, 0.5),
        (SIZE_RATE, "10MB/s", 10_000_000.0),
        (SIZE_RATE, 100, 100.0),
        (CHOICE, "required", "required"),
    ],
)
def test_a_value_is_read_as_its_kind_has_it(kind: Kind, given_value: object, value: object) -> None:
    read = read_value("x", option_of(kind), given_value)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((TEXT, wrong) for wrong in ("", "a\0b", 7, True, None, ["a"])),
        *((PATH, wrong) for wrong in ("", "a\0b", 7, None)),
        *((NUMBER, wrong) for wrong in (True, "-1", "1.5", 1.5, -1, None, "\u0661", "1__0")),
        *((SWITCH, wrong) for wrong in ("perhaps", 1, 0, None, 1.0)),
        *((DURATION, wrong) for wrong in ("soon", "5 weeks", -1, -0.5, True, None, float("inf"), float("nan"))),
        *((SIZE, wrong) for wrong in ("64K", 1.5, True, -1)),
        *((RATE, wrong) for wrong in ("fast", -1.0, True)),
        *((SIZE_RATE, wrong) for wrong in ("64K/s", 1.5, True)),
        *((CHOICE, wrong) for wrong in ("on", "", True, "OFF")),
    ],
)
def test_what_is_of_another_kind_is_refused_by_name(kind: Kind, wrong: object) -> None:
    with pytest.raises(UsageError, match=r"^depth of the battery x"):
        read_value("x", option_of(kind), wrong)


@given(st.floats(min_value=0, max_value=1e6))
def test_a_duration_of_a_file_is_the_one_that_is_meant(seconds: float) -> None:
    assert read_value("x", option_of(DURATION), seconds) == pytest.approx(seconds, abs=1e-9)


def test_nothing_stands_for_a_default_that_is_nothing() -> None:
    assert read_value("x", option_of(NUMBER, default=None), None) is None
    with pytest.raises(UsageError, match="is a whole number, not None"):
        read_value("x", option_of(NUMBER), None)


def test_what_repeats_is_a_tuple_however_it_was_given() -> None:
    option = option_of(NUMBER, repeats=True)
    assert read_value("x", option, ["1", 2]) == (1, 2)
    assert read_value("x", option, ("3",)) == (3,)
    assert read_value("x", option, 4) == (4,)
    assert read_value("x", option, ()) == ()
    with pytest.raises(UsageError, match="depth of the battery x"):
        read_value("x", option, ["1", "two"])


def test_what_does_not_repeat_is_no_list() -> None:
    with pytest.raises(UsageError, match=r"is a whole number, not \[1, 2\]"):
        read_value("x", option_of(NUMBER), [1, 2])


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        (BatteryOption("a", SWITCH, True, "s"), "on"),
        (BatteryOption("a", SWITCH, False, "s"), "off"),
        (BatteryOption("a", TEXT, None, "s"), "none"),
        (BatteryOption("a", TEXT, (), "s", repeats=True), "none"),
        (BatteryOption("a", DURATION, "30s", "s"), "30s"),
        (BatteryOption("a", NUMBER, 10, "s"), "10"),
        (BatteryOption("a", TEXT, None, "s", default_text="any"), "any"),
    ],
)
def test_a_default_is_shown_as_it_would_be_typed(option: BatteryOption, shown: str) -> None:
    assert option.default_shown == shown


def test_an_option_is_one_name_in_three_spellings() -> None:
    option = BatteryOption("passive_ports", TEXT, None, "s")
    assert (option.name, option.option, option.variable) == (
        *("passive_ports", "--passive-ports", "PORTSIDE_PASSIVE_PORTS"),
    )


def test_an_unknown_word_gets_the_nearest_or_all() -> None:
    assert nearest("Dephth", ["depth", "width"]) == "did you mean depth?"
    assert nearest("zzz", ["depth", "width"]) == "there are depth, width"
