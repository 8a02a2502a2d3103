import base64
import stat
from pathlib import Path

import pytest

from waypost.secret_files import open_operator_token, open_secret_key, read_operator_token
from waypost.settings import DEFAULTS_FILE, SETTINGS, Settings, SettingsError, load_settings


def load(flags: dict[str, str] | None = None, environment: dict[str, str] | None = None, file: Path | None = None):
    return load_settings(flags, environment=environment or {}, config_file=file, is_terminal=False)


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "waypost.toml"
    path.write_text(text)
    return path


def folder_settings(tmp_path: Path, **flags: str) -> Settings:
    return load({"data_dir": str(tmp_path / "data"), **flags})


def test_defaults_are_those_of_the_documentation():
    settings = load()
    assert (settings.host, settings.port, settings.retention_days) == ("127.0.0.1", 8484, 30)
    assert settings.data_dir == Path("waypost-data").resolve()
    assert settings.database_url == f"sqlite:///{settings.data_dir}/waypost.db"
    assert settings.public_url == "http://127.0.0.1:8484"
    assert (settings.operator_token, settings.secret_key, settings.smtp_url) == (None, None, None)
    assert settings.egress_allow == ()
    assert set(settings.sources.values()) == {"default"}


def test_flag_wins_over_environment_and_environment_over_file(tmp_path):
    file = toml(tmp_path, 'port = 1001\nhost = "127.0.0.2"\nretention_days = 7\n')
    settings = load({"port": "1003"}, {"WAYPOST_PORT": "1002", "WAYPOST_HOST": "127.0.0.3"}, file)
    assert (settings.port, settings.host, settings.retention_days) == (1003, "127.0.0.3", 7)
    assert settings.sources["port"] == "flag"
    assert settings.sources["host"] == "environment"
    assert settings.sources["retention_days"] == "waypost.toml"
    assert settings.sources["smtp_url"] == "default"


def test_log_format_is_console_on_a_terminal_and_json_elsewhere():
    assert load_settings(environment={}, config_file=None, is_terminal=True).log_format == "console"
    assert load().log_format == "json"


def test_an_empty_variable_counts_as_not_given():
    assert load(environment={"WAYPOST_PORT": ""}).port == 8484


WRONG = [
    ("WAYPOST_PORT", "0"),
    ("WAYPOST_PORT", "65536"),
    ("WAYPOST_PORT", "80a"),
    ("WAYPOST_PORT", "٨٠"),
    ("WAYPOST_HOST", "not a host"),
    ("WAYPOST_DATABASE_URL", "mysql://localhost/waypost"),
    ("WAYPOST_DATABASE_URL", "sqlite://"),
    ("WAYPOST_DATABASE_URL", "sqlite:///:memory:"),
    ("WAYPOST_SECRET_KEY", "c2hvcnQ="),
    ("WAYPOST_SECRET_KEY", "%%%"),
    ("WAYPOST_OPERATOR_TOKEN", "short"),
    ("WAYPOST_OPERATOR_TOKEN", "a blank within the token"),
    ("WAYPOST_EGRESS_ALLOW", "10.0.0.0/33"),
    ("WAYPOST_EGRESS_ALLOW", "10.0.0.1/8"),
    ("WAYPOST_EGRESS_ALLOW", "localhost"),
    ("WAYPOST_PUBLIC_URL", "ftp://waypost.example"),
    ("WAYPOST_PUBLIC_URL", "https://user@waypost.example"),
    ("WAYPOST_PUBLIC_URL", "https://waypost.example:99999"),
    ("WAYPOST_SMTP_URL", "http://mail.example"),
    ("WAYPOST_RETENTION_DAYS", "0"),
    ("WAYPOST_LOG_FORMAT", "xml"),
    ("WAYPOST_METRICS_PUBLIC", "maybe"),
    ("WAYPOST_API_RATE_PER_MINUTE", "-5"),
]


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_key_and_what_is_allowed(variable, value):
    with pytest.raises(SettingsError) as caught:
        load(environment={variable: value})
    message = str(caught.value)
    assert message.startswith(f"{variable} is ")
    assert "allowed: " in message
    assert "\n" not in message


def test_the_message_shows_a_plain_value_and_hides_a_secret_one():
    with pytest.raises(SettingsError, match="WAYPOST_PORT is '99999'; allowed: a whole number from 1 to 65535"):
        load(environment={"WAYPOST_PORT": "99999"})
    with pytest.raises(SettingsError, match=r"WAYPOST_SECRET_KEY is \(hidden\); allowed: 32 bytes in base64"):
        load(environment={"WAYPOST_SECRET_KEY": "canary"})


def test_a_network_written_as_one_of_its_addresses_is_answered_with_both_readings():
    with pytest.raises(SettingsError, match=r"10\.0\.0\.1/8 has host bits set: write 10\.0\.0\.0/8 .* or 10\.0\.0\.1 "):
        load(environment={"WAYPOST_EGRESS_ALLOW": "127.0.0.0/8,10.0.0.1/8"})


@pytest.mark.parametrize("value", ['"10.1.0.0/16, ::1/128"', '["10.1.0.0/16", "::1/128"]'])
def test_networks_of_both_families_are_read_from_text_and_from_a_list(tmp_path, value):
    settings = load(file=toml(tmp_path, f"egress_allow = {value}"))
    assert [str(network) for network in settings.egress_allow] == ["10.1.0.0/16", "::1/128"]


def test_an_unknown_name_in_the_file_is_answered_with_the_near_one(tmp_path):
    with pytest.raises(SettingsError, match='"retention_day", which is no setting; did you mean "retention_days"'):
        load(file=toml(tmp_path, "retention_day = 3"))


def test_a_file_that_is_not_toml_is_one_line(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load(file=toml(tmp_path, "port = = 3"))


def test_secrets_are_in_no_repr_and_nothing_shown():
    key = base64.b64encode(b"k" * 32).decode()
    environment = {
        "WAYPOST_SECRET_KEY": key,
        "WAYPOST_OPERATOR_TOKEN": "canary-operator-token",
        "WAYPOST_DATABASE_URL": "postgresql://waypost:canary@db/waypost?password=canary",
        "WAYPOST_SMTP_URL": "smtp://mail:canary@mail.example:587",
    }
    settings = load(environment=environment)
    everything = repr(settings) + "".join(settings.shown(setting.name) for setting in SETTINGS)
    assert "canary" not in everything
    assert "kkkk" not in everything
    assert settings.shown("database_url") == "postgresql://waypost:***@db/waypost"


def test_the_public_address_of_a_service_on_all_addresses_is_loopback():
    assert load({"host": "::"}).public_url == "http://[::1]:8484"
    assert load({"host": "0.0.0.0", "port": "80"}).local_url == "http://127.0.0.1:80"


def test_every_setting_is_in_the_commented_default_file():
    lines = DEFAULTS_FILE.read_text().splitlines()
    written = {line.split("=")[0].strip("# ") for line in lines if line.startswith("# ") and " = " in line}
    assert written == {setting.name for setting in SETTINGS}


def test_the_default_file_says_nothing_that_is_not_allowed(tmp_path):
    lines = DEFAULTS_FILE.read_text().splitlines()
    given = [line.removeprefix("# ") for line in lines if line.startswith("# ") and " = " in line]
    kept = [line for line in given if not line.endswith('""')]  # an empty string stands for a default made at start
    load(file=toml(tmp_path, "\n".join(kept)))


def test_first_start_makes_both_secrets_with_mode_0600_and_says_so_once(tmp_path):
    settings = folder_settings(tmp_path)
    key, first, second = open_secret_key(settings), open_operator_token(settings), open_operator_token(settings)
    assert len(key) == 32
    assert key == open_secret_key(settings)
    assert (first.made, second.made) == (True, False)
    assert first.text == second.text == read_operator_token(settings)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in settings.data_dir.iterdir()}
    assert modes == {0o600}
    assert sorted(path.name for path in settings.data_dir.iterdir()) == ["operator-token", "secret-key"]


def test_secrets_given_from_outside_are_not_written_anywhere(tmp_path):
    key = base64.b64encode(bytes(range(32))).decode()
    settings = folder_settings(tmp_path, secret_key=key, operator_token="given-by-the-operator")
    token = open_operator_token(settings)
    assert (open_secret_key(settings), token.text) == (bytes(range(32)), "given-by-the-operator")
    assert list(settings.data_dir.iterdir()) == []
    assert "given" not in repr(token)


def test_a_database_whose_key_is_gone_gets_no_new_key(tmp_path):
    settings = folder_settings(tmp_path)
    settings.data_dir.mkdir()
    (settings.data_dir / "waypost.db").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"has no key: put .*secret-key back"):
        open_secret_key(settings)


def test_a_key_file_that_holds_something_else_is_refused(tmp_path):
    settings = folder_settings(tmp_path)
    settings.data_dir.mkdir()
    (settings.data_dir / "secret-key").write_text("nonsense")
    with pytest.raises(SettingsError, match="secret-key holds something else"):
        open_secret_key(settings)


def test_a_data_folder_that_is_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match=r"data folder .* cannot be used"):
        open_secret_key(folder_settings(tmp_path))


def test_owed_events_are_kept_for_90_days_or_for_as_long_as_all_others(tmp_path):
    assert load().retention_days_owed == 90
    assert load({"retention_days": "120"}).retention_days_owed == 120


def test_owed_events_cannot_be_kept_for_fewer_days_than_others():
    with pytest.raises(SettingsError, match=r"WAYPOST_RETENTION_DAYS_OWED is 20; allowed: at least retention_days.*30"):
        load(environment={"WAYPOST_RETENTION_DAYS_OWED": "20"})


@pytest.mark.parametrize("wrong", ["smtp://a:geheim@mail.example?starttls=maybe", "smtp://a:geheim@mail.example/path"])
def test_a_wrong_mail_server_is_refused_without_its_password(wrong):
    with pytest.raises(SettingsError, match=r"WAYPOST_SMTP_URL is .hidden") as refused:
        load(environment={"WAYPOST_SMTP_URL": wrong})
    assert "geheim" not in str(refused.value)
