"""The histogram that counts many observations at once says what the library's own says."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

from oicp_adapter.daemon.histogram import BulkHistogram

BUCKETS = (0.03125, 0.5, 1, 3600)
disable_created_metrics()


VALUES = st.sampled_from([0.0, 0.03125, 0.046875, 0.5, 1, 2, 3600, 3601, 1e9])


@given(st.lists(st.lists(VALUES, max_size=5), max_size=4))
def test_it_exports_what_the_librarys_own_exports(pushes):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bulk = BulkHistogram("lag_seconds", "How long.", ["operator"], buckets=BUCKETS, registry=ours)
    single = Histogram("lag_seconds", "How long.", ["operator"], buckets=BUCKETS, registry=theirs)
    for operator in ("DE*ABC", 'a"\\\n'):
        bulk.labels(operator)
        single.labels(operator)
    for values in pushes:
        bulk.labels("DE*ABC").observe(*values)
        for value in values:
            single.labels("DE*ABC").observe(value)
    assert generate_latest(ours) == generate_latest(theirs)
