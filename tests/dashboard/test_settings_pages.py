"""The pages of the account: people, tokens, audit log, retention, and one's own."""

from dashboard.conftest import Site


async def test_each_page_of_the_account_is_shown_to_an_owner(site: Site) -> None:
    helga = await site.visitor("owner")
    for page in ("people", "tokens", "audit", "retention"):
        reply = await helga.get(f"/settings/account/{page}")
        assert reply.status == 200, (page, reply.body)
    assert (await helga.get("/you")).status == 200
