from oicp_adapter.simulator.protocol import _common_names


def test_every_common_name_of_a_certificate_is_an_operator_exactly_as_spelled():
    subject = (
        (("organizationName", "ABC technologies"),),
        (("commonName", "DE*ABC"), ("commonName", "deabc")),
        (("commonName", "+49*810"),),
    )
    assert list(_common_names(subject)) == ["DE*ABC", "deabc", "+49*810"]


def test_a_certificate_without_a_common_name_names_nobody():
    assert list(_common_names(())) == []
