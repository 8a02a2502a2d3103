import socket

import pytest

from cli.running import waypost


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_command_without_a_running_service_says_how_to_start_one(closed_port, tmp_path):
    given = {"WAYPOST_URL": f"http://127.0.0.1:{closed_port}", "WAYPOST_TOKEN": "wp_any"}
    ran = waypost("events", "list", given=given, folder=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"No Waypost answers at http://127.0.0.1:{closed_port}. Start it with: waypost serve\n"


def test_a_command_without_a_token_says_where_it_comes_from(tmp_path):
    ran = waypost("events", "list", folder=tmp_path)
    assert ran.code == 1
    assert "There is no operator-token in" in ran.err
    assert "WAYPOST_TOKEN" in ran.err


def test_the_operators_token_is_not_sent_to_another_machine(tmp_path):
    (tmp_path / "waypost-data").mkdir()
    (tmp_path / "waypost-data" / "operator-token").write_text("wp_operator_of_this_machine\n")
    ran = waypost("events", "list", given={"WAYPOST_URL": "http://waypost.example"}, folder=tmp_path)
    assert ran.code == 1
    assert ran.err == "There is no token for http://waypost.example. Set WAYPOST_TOKEN.\n"


@pytest.mark.parametrize("url", ["ftp://waypost.example", "http://", "http://waypost.example:99999", "waypost.example"])
def test_an_address_that_is_none_is_wrong_use(url, tmp_path):
    ran = waypost("events", "list", given={"WAYPOST_URL": url, "WAYPOST_TOKEN": "x"}, folder=tmp_path)
    assert ran.code == 2
    assert ran.err == f"{url} is not an http or https URL.\n"


def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path):
    ran = waypost("serve", "--port", "99999", folder=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "--port is '99999'; allowed: a whole number from 1 to 65535.\n"
    assert list(tmp_path.iterdir()) == []


def test_doctor_shows_each_value_with_its_source_and_no_secret(tmp_path):
    (tmp_path / "waypost.toml").write_text("retention_days = 7\n")
    given = {"WAYPOST_OPERATOR_TOKEN": "canary-of-the-operator", "WAYPOST_PORT": "9191"}
    ran = waypost("doctor", "--data-dir", str(tmp_path / "data"), given=given, folder=tmp_path)
    assert "retention_days\t7\twaypost.toml\n" in ran.out
    assert "port\t9191\tenvironment\n" in ran.out
    assert f"data_dir\t{tmp_path}/data\tflag\n" in ran.out
    assert "operator_token\t(hidden)\tenvironment\n" in ran.out
    assert "canary" not in ran.out + ran.err
    assert list(tmp_path.iterdir()) == [tmp_path / "waypost.toml"]


def test_doctor_fails_when_others_may_read_the_secret_key(tmp_path):
    from waypost.secret_files import open_secret_key
    from waypost.settings import load_settings

    open_secret_key(load_settings({"data_dir": str(tmp_path)}, environment={}, config_file=None))
    (tmp_path / "secret-key").chmod(0o644)
    ran = waypost("doctor", "--data-dir", str(tmp_path), folder=tmp_path)
    assert ran.code == 1
    assert f"chmod 600 {tmp_path}/secret-key" in ran.out
    assert ran.err == "1 check failed.\n"
