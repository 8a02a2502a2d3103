"""What a mail server's URL means."""

import pytest

from waypost.mail_server import MailServer, read_mail_server


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        (
            "smtps://ops%40tms.example:p%3Aw@mail.tms.example",
            MailServer("mail.tms.example", 465, "from the start", "ops@tms.example", "ops@tms.example", "p:w"),
        ),
        (
            "smtp://ops:pw@mail.tms.example:2525?from=waypost@tms.example",
            MailServer("mail.tms.example", 2525, "always", "waypost@tms.example", "ops", "pw"),
        ),
        ("smtp://relay", MailServer("relay", 587, "if offered", "waypost@waypost.tms.example")),
        ("smtp://relay?starttls=always", MailServer("relay", 587, "always", "waypost@waypost.tms.example")),
        ("smtp://[::1]:25?starttls=never", MailServer("::1", 25, "never", "waypost@waypost.tms.example")),
    ],
)
def test_the_url_names_host_port_login_sender_and_how_tls_begins(url: str, meant: MailServer) -> None:
    assert read_mail_server(url, "https://waypost.tms.example") == meant


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:99999",
        "smtp://mail.example/inbox",
        "smtp://mail.example?starttls=sometimes",
        "smtps://mail.example?starttls=never",
        "smtp://mail.example?to=x@y.example",
        "smtp://mail.example?from=nobody",
        "smtp://mail.example?from=a@b.example%0d%0aBcc:x@y.example",
        "smtp://mail.example?from=a@b.example,c@d.example",
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_mail_server(url)


def test_the_password_is_not_shown() -> None:
    assert "geheim" not in repr(read_mail_server("smtp://ops:geheim@mail.example"))
