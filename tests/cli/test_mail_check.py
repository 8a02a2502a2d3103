"""What doctor says of the mail server, asked for real."""

from pathlib import Path

from upkeep.mail_receiver import a_mail_server
from waypost.cli import checks
from waypost.settings import Settings, load_settings


def with_mail(url: str | None) -> Settings:
    given = {} if url is None else {"WAYPOST_SMTP_URL": url}
    return load_settings({"data_dir": str(Path("nowhere"))}, environment=given, config_file=None)


async def test_a_mail_server_that_takes_us_is_well_and_gets_no_mail() -> None:
    async with a_mail_server() as box:
        finding = await checks.mail(with_mail(f"smtp://127.0.0.1:{box.port}?from=waypost@tms.example"))
    assert (finding.health, box.mails) == ("ok", [])
    assert "waypost@tms.example" in finding.says


async def test_a_mail_server_that_is_away_is_a_failed_check_without_the_password() -> None:
    async with a_mail_server() as box:
        gone = f"smtp://ops:geheim@127.0.0.1:{box.port}"
    finding = await checks.mail(with_mail(gone))
    assert finding.health == "fail"
    assert "geheim" not in finding.says


async def test_no_mail_server_is_no_trouble() -> None:
    assert (await checks.mail(with_mail(None))).health == "ok"
