"""A token bucket holds its average and its burst, whatever is asked of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portside.net.pace import TokenBucket


@given(
    st.floats(0.5, 1e9),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 1 << 20)), max_size=40),
)
def test_what_passes_is_never_more_than_the_burst_and_the_average(
    per_s: float, wishes: list[tuple[float, int]]
) -> None:
    bucket, now_s, passed = TokenBucket(per_s, 0.0), 0.0, 0
    for pause_s, wanted in wishes:
        now_s += pause_s
        allowed = bucket.allowance(wanted, now_s)
        assert 0 <= allowed <= wanted
        bucket.take(allowed, now_s)
        passed += allowed
        assert passed <= max(1.0, per_s) + now_s * per_s + 1e-3 * (1.0 + passed * 1e-9)


@given(st.floats(0.5, 1e9), st.integers(1, 1 << 20), st.integers(1, 50))
def test_waiting_as_long_as_told_is_enough(per_s: float, wanted: int, turns: int) -> None:
    bucket, now_s = TokenBucket(per_s, 0.0), 0.0
    for _ in range(turns):
        wait_s = bucket.wait_s(wanted, now_s)
        now_s += wait_s * (1 + 1e-9) + 1e-6
        allowed = bucket.allowance(wanted, now_s)
        assert allowed >= 1
        bucket.take(allowed, now_s)


def test_the_burst_is_one_seconds_worth_and_then_portions_flow() -> None:
    bucket = TokenBucket(100_000, 0.0)
    assert bucket.allowance(131_072, 0.0) == 100_000
    bucket.take(100_000, 0.0)
    assert bucket.allowance(131_072, 0.049) == 0  # not a trickle of single bytes
    assert bucket.allowance(131_072, 0.05) == 5_000
    assert bucket.wait_s(10, 0.05) == 0.0
