import pytest

from waypost.cli.output import print_table, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Pärnu – Łódź", "Pärnu – Łódź"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("two\nlines\ttab", "two\\nlines\\ttab"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_control_characters_of_others_are_written_out(text, shown):
    assert visible(text) == shown


def test_a_table_on_a_pipe_is_separated_by_tabs_and_knows_no_markup(capsys):
    print_table(("id", "name"), [("[bold]1", None), ("2", "a\tb")])
    assert capsys.readouterr().out == "id\tname\n[bold]1\t–\n2\ta\\tb\n"
