"""A limit holds for any sixty seconds, for each token apart, whatever number of threads asks."""

import threading

from oicp_adapter.control.rates import REQUESTS_PER_MINUTE, RateLimits


def test_a_token_without_a_number_of_its_own_gets_the_usual_one():
    seen = RateLimits().request("a", None)
    assert (seen.granted, seen.limit, seen.remaining) == (True, REQUESTS_PER_MINUTE, REQUESTS_PER_MINUTE - 1)
    assert 0 < seen.reset <= 60


def test_what_is_beyond_the_limit_is_not_granted_and_costs_nothing():
    limits = RateLimits()
    assert [limits.request("a", 3).granted for _ in range(5)] == [True] * 3 + [False] * 2
    assert limits.request("a", 3).remaining == 0


def test_tokens_and_addresses_are_counted_apart():
    limits = RateLimits(failures_per_minute=1)
    assert limits.request("a", 1).granted
    assert limits.request("b", 1).granted
    assert limits.failure("a").granted
    assert not limits.failure("a").granted
    assert limits.failure("b").granted


def test_all_addresses_of_a_network_of_ipv6_count_together_and_those_of_ipv4_apart():
    limits = RateLimits(failures_per_minute=1)
    assert limits.failure("2001:db8:0:1::1").granted
    assert not limits.failure("2001:db8:0:1:ffff::2").granted
    assert limits.failure("2001:db8:0:2::1").granted
    assert limits.failure("192.0.2.1").granted
    assert limits.failure("192.0.2.2").granted
    assert limits.failure("").granted


def test_a_limit_holds_for_many_threads():
    limits, granted = RateLimits(), []

    def ask():
        granted.extend(limits.request("a", 50).granted for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert granted.count(True) == 50
