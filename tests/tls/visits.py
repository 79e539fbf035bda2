"""What a hub answers when `check` looks at it, and what is then found."""

import ssl

from oicp_adapter.checks import Level

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
PAGE = b"<html><body><h1>Go away</h1></body></html>"


def oicp(code):
    return b'{"StatusCode":{"Code":"%b","Description":"x","AdditionalInfo":null}}' % code


def answering(status=b"404 Not Found", body=PAGE, headers=b""):
    def script(connection):
        connection.read_request()
        connection.answer(body, status=status, headers=headers)

    return script


def bad(findings):
    return [each for each in findings if each.level is not Level.OK]


def only(findings, check, level=Level.ERROR, exit_code=78):
    """Return the one finding that is not good; the daemon starts in spite of it."""
    (found,) = bad(findings)
    assert (found.check, found.level, found.exit_code) == (check, level, exit_code), found
    assert found.cure
    assert found.starts or level is Level.WARNING
    return found
