"""Getting in and out: what a sign-in takes, whom it lets in, and what is left of a session that ended."""

import re
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest
import structlog
from argon2 import PasswordHasher
from sqlalchemy import update

from dashboard.conftest import Site
from dashboard.signing import a_person, a_session
from dashboard.visitor import Visitor, fields_of
from waypost.clock import to_micros
from waypost.dashboard.cookies import Cookies
from waypost.dashboard.door import browser_of
from waypost.dashboard.keeper import Entrance, Keeper
from waypost.log import Tx, Unit, links, people, sessions
from waypost.log.accounts import DEFAULT_ACCOUNT
from waypost.log.auditing import Actor, AuditFilter, read_audit
from waypost.log.links import NewLink
from waypost.log.tables import sessions as session_rows

PASSWORD = "seven geese cross the fjord"
HASHED = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)  # older than what tests hash by
HELGA = "helga@fossvik.example"
SESSION = "__Host-waypost_session"
WHO = "/you"  # a page that everybody has who is signed in
OPERATOR = Actor("operator", "tok_operator")


async def helga_signs_in(site: Site, **form: str) -> tuple[Visitor, str]:
    """Make Helga and sign her in; give her browser and where it was led."""
    await a_person(site.log, email=HELGA, password_hash=HASHED)
    visitor = site.stranger()
    reply = await visitor.post("/sign-in", {"email": HELGA, "password": PASSWORD, **form}, page="/sign-in")
    assert reply.status == 303, reply.body
    return visitor, reply.headers["location"]


async def actions(site: Site) -> list[str]:
    """What the audit log of the account tells, the oldest first."""
    listed = await site.log.look(
        lambda connection, _: read_audit(connection, DEFAULT_ACCOUNT, AuditFilter(), 100, None)
    )
    return [row.action for row in reversed(listed.items)]


# -- sign-in -----------------------------------------------------------------------------------------------------------


async def test_a_person_signs_in_however_the_address_is_spelt(site: Site) -> None:
    helga, target = await helga_signs_in(site, email=" Helga@Fossvik.EXAMPLE ")
    assert target == "/"
    assert (await helga.get(WHO)).status == 200
    assert await actions(site) == ["session.signed_in"]


async def test_a_page_leads_who_is_not_signed_in_to_the_sign_in_and_back(site: Site) -> None:
    reply = await site.stranger().get("/settings/account/audit?action=token.created")
    assert reply.status == 303
    assert reply.headers["location"] == "/sign-in?next=%2Fsettings%2Faccount%2Faudit%3Faction%3Dtoken.created"
    _, target = await helga_signs_in(site, next="/settings/account/audit?action=token.created")
    assert target == "/settings/account/audit?action=token.created"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/%0d%0aset-cookie:x=1\r\n",
        "javascript:alert(1)",
        "settings",
        "",
        "/" + "a" * 3000,
    ],
)
async def test_nothing_leads_elsewhere_after_a_sign_in(site: Site, target: str) -> None:
    _, led_to = await helga_signs_in(site, next=target)
    assert led_to == "/"


async def test_wrong_data_is_told_by_one_sentence_that_does_not_say_which(site: Site) -> None:
    await a_person(site.log, email=HELGA, password_hash=HASHED)
    bodies = []
    for email, password in (
        (HELGA, "wrong"),
        ("nobody@fossvik.example", PASSWORD),
        ("nobody@fossvik.example", "wrong"),
    ):
        visitor = site.stranger()
        reply = await visitor.post("/sign-in", {"email": email, "password": password}, page="/sign-in")
        assert reply.status == 401
        bodies.append(re.sub(rb'(value|csrf)="[^"]*"', b"", reply.body))  # without what was typed and the forms' tokens
    assert bodies[0] == bodies[1] == bodies[2]
    assert b"The e-mail or the password is not right." in bodies[0]


async def test_what_was_typed_is_kept_but_for_the_password(site: Site) -> None:
    visitor = site.stranger()
    reply = await visitor.post("/sign-in", {"email": HELGA, "password": "wrong secret"}, page="/sign-in")
    assert HELGA.encode() in reply.body
    assert b"wrong secret" not in reply.body


async def test_a_person_without_a_password_signs_in_by_none(site: Site) -> None:
    await a_person(site.log, email=HELGA, password_hash=None)
    for password in ("", "the password of nobody", "None"):
        visitor = site.stranger()
        assert (await visitor.post("/sign-in", {"email": HELGA, "password": password}, page="/sign-in")).status == 401


async def test_the_operator_signs_in_by_the_token_of_the_server(site: Site) -> None:
    visitor = site.stranger()
    assert (await visitor.post("/sign-in/operator", {"token": "wp_wrong"}, page="/sign-in")).status == 401
    reply = await visitor.post("/sign-in/operator", {"token": "wp_operator", "next": "/you"}, page="/sign-in")
    assert (reply.status, reply.headers["location"]) == (303, "/you")
    assert (await visitor.get(WHO)).status == 200


async def test_an_api_token_of_an_account_opens_no_page(site: Site) -> None:
    made = (await site.api.call("POST", "/v1/accounts/default/tokens", {"name": "tms"})).json()
    visitor = site.stranger()
    assert (await visitor.post("/sign-in/operator", {"token": made["token"]}, page="/sign-in")).status == 401
    assert (await visitor.get(WHO, authorization=f"Bearer {made['token']}")).status == 303


async def test_an_older_hash_is_made_anew_at_the_sign_in(site: Site) -> None:
    await helga_signs_in(site)
    helga = await site.log.look(lambda connection, _: people.find_by_email(connection, HELGA))
    assert helga is not None
    assert helga.password_hash not in (None, HASHED)
    visitor = site.stranger()
    assert (await visitor.post("/sign-in", {"email": HELGA, "password": PASSWORD}, page="/sign-in")).status == 303


# -- tries -------------------------------------------------------------------------------------------------------------


async def test_ten_tries_a_minute_are_the_limit_for_an_address(site: Site) -> None:
    await a_person(site.log, email=HELGA, password_hash=HASHED)
    visitor = site.stranger()
    for _ in range(10):
        await visitor.post("/sign-in/operator", {"token": "wp_wrong"}, page="/sign-in")
    right = {"email": HELGA, "password": PASSWORD}
    reply = await visitor.post("/sign-in", right)
    assert (reply.status, reply.headers["retry-after"]) == (429, "6")
    site.clock.ahead_s += 6
    assert (await visitor.post("/sign-in", right)).status == 303


async def test_a_forwarded_address_is_not_believed_from_everybody(site: Site) -> None:
    visitor = site.stranger()
    for number in range(10):
        await visitor.post(
            "/sign-in/operator", {"token": "wp_wrong"}, page="/sign-in", x_forwarded_for=f"203.0.113.{number}"
        )
    reply = await visitor.post("/sign-in/operator", {"token": "wp_wrong"}, x_forwarded_for="203.0.113.99")
    assert reply.status == 429


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
    ],
)
def test_a_proxy_of_ours_is_believed_from_the_right_end(peer: str, forwarded: str, address: str) -> None:
    entrance = Entrance(trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")))
    keeper = Keeper(entrance, "https://waypost.test", lambda: 0.0)
    assert keeper.address_of(peer, forwarded) == address


def test_all_addresses_of_one_subscriber_count_as_one() -> None:
    keeper = Keeper(Entrance(), "https://waypost.test", lambda: 0.0)
    assert keeper.key_of("2001:db8:0:1::5") == keeper.key_of("2001:db8:0:1:ffff::9")
    assert keeper.key_of("2001:db8:0:2::5") != keeper.key_of("2001:db8:0:1::5")
    assert keeper.key_of("::ffff:203.0.113.7") == keeper.key_of("203.0.113.7")


# -- cookies and sessions ----------------------------------------------------------------------------------------------


async def test_the_cookie_is_bound_to_this_host_and_hidden_from_scripts(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    (line,) = [line for line in helga.said if line.startswith(f"{SESSION}=") and "Max-Age=0" not in line]
    parts = {part.strip().lower() for part in line.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
    assert not any(part.startswith(("domain", "max-age", "expires")) for part in parts)


async def test_who_stays_signed_in_has_a_cookie_that_outlives_the_browser(site: Site) -> None:
    helga, _ = await helga_signs_in(site, stay="on")
    (line,) = [line for line in helga.said if line.startswith(f"{SESSION}=")]
    assert "Max-Age=" in line


async def test_the_session_has_another_id_after_each_sign_in(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    first = helga.cookies[SESSION]
    await helga.post("/sign-in", {"email": HELGA, "password": PASSWORD}, page="/sign-in?next=/you")
    assert (await Visitor(site.app, {SESSION: first}).get(WHO)).status in (200, 303)
    # A page that is open goes on to where it was going; the form is not shown to who is signed in.
    await helga.post("/sign-out", page=WHO)
    _, _ = await helga_signs_in(site)
    assert (await Visitor(site.app, {SESSION: first}).get(WHO)).status == 303


async def test_a_session_that_somebody_planted_is_not_taken_over(site: Site) -> None:
    planted = await site.visitor("viewer")
    before = planted.cookies[SESSION]
    await a_person(site.log, email=HELGA, password_hash=HASHED)
    victim = Visitor(site.app, dict(planted.cookies))
    await victim.post("/sign-out", page=WHO)  # the form's cookie is needed for a sign-in
    victim.cookies[SESSION] = before
    await victim.post("/sign-in", {"email": HELGA, "password": PASSWORD}, page="/sign-in")
    assert victim.cookies[SESSION] != before
    assert (await Visitor(site.app, {SESSION: before}).get(WHO)).status == 303


async def test_signing_out_ends_the_session_on_the_server(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    stolen = dict(helga.cookies)
    reply = await helga.post("/sign-out", page=WHO)
    assert (reply.status, reply.headers["location"]) == (303, "/sign-in")
    assert SESSION not in helga.cookies
    assert (await Visitor(site.app, stolen).get(WHO)).status == 303
    assert (await actions(site))[-1] == "session.signed_out"


async def test_a_change_of_the_password_ends_every_other_session_and_renews_this_one(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    elsewhere, _ = await helga_signs_in(site)
    before = helga.cookies[SESSION]
    new = {"present": PASSWORD, "password": "nine herons watch the harbour"}
    assert (await helga.post("/you/password", new, page=WHO)).status == 303
    assert helga.cookies[SESSION] != before
    assert (await helga.get(WHO)).status == 200
    assert (await elsewhere.get(WHO)).status == 303
    assert (await Visitor(site.app, {SESSION: before}).get(WHO)).status == 303
    visitor = site.stranger()
    assert (await visitor.post("/sign-in", {"email": HELGA, "password": PASSWORD}, page="/sign-in")).status == 401


async def test_the_present_password_is_needed_for_another_one(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    form = {"present": "not mine at all", "password": "nine herons watch the harbour"}
    reply = await helga.post("/you/password", form, page=WHO)
    assert (reply.status, b"This is not your password." in reply.body) == (422, True)


async def test_one_ends_a_session_of_oneself_and_none_of_others(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    elsewhere, _ = await helga_signs_in(site)
    other = await a_session(site.log, "manager")
    page = (await helga.get(WHO)).body.decode()
    (mine,) = re.findall(r'name="session_id" value="([^"]+)"', page)
    assert other.session_id not in page
    assert (await helga.post("/you/sessions/end", {"session_id": other.session_id})).status == 404
    assert (await helga.post("/you/sessions/end", {"session_id": mine})).status == 303
    assert (await elsewhere.get(WHO)).status == 303
    assert (await helga.get(WHO)).status == 200


async def test_who_lost_a_role_is_signed_out_and_comes_back_with_the_new_one(site: Site) -> None:
    owner, manager = await site.visitor("owner"), await site.visitor("manager")
    person_id = await a_person(site.log, "manager")
    before = manager.cookies[SESSION]
    assert (await owner.post(f"/settings/account/people/{person_id}/role", {"role": "viewer"}, page=WHO)).status == 303
    assert (await manager.get(WHO)).status == 303
    again = await site.log.look(lambda connection, _: people.list_members(connection, DEFAULT_ACCOUNT))
    assert {member.role for member in again if member.person_id == person_id} == {"viewer"}
    assert (await Visitor(site.app, {SESSION: before}).get(WHO)).status == 303


async def test_who_was_removed_is_signed_out_at_once(site: Site) -> None:
    owner, viewer = await site.visitor("owner"), await site.visitor("viewer")
    person_id = await a_person(site.log, "viewer")
    assert (await owner.post(f"/settings/account/people/{person_id}/remove", page=WHO)).status == 303
    assert (await viewer.get(WHO)).status == 303


async def test_the_last_owner_stays(site: Site) -> None:
    owner = await site.visitor("owner")
    person_id = await a_person(site.log, "owner")
    for form in ({"role": "viewer"}, None):
        path = f"/settings/account/people/{person_id}/{'role' if form else 'remove'}"
        reply = await owner.post(path, form, page=WHO)
        assert (reply.status, b"An account needs an owner." in reply.body) == (409, True)


async def test_going_to_another_account_renews_the_session(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    await a_person(site.log, "viewer", "fossvik", email=HELGA)
    before = helga.cookies[SESSION]
    assert (await helga.post("/switch", {"account_id": "fossvik"}, page=WHO)).status == 303
    assert helga.cookies[SESSION] != before
    assert (await Visitor(site.app, {SESSION: before}).get(WHO)).status == 303
    assert (await helga.get("/settings/account/audit")).status == 403  # a viewer there


async def test_nobody_goes_to_an_account_of_others(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    await a_session(site.log, "owner", "fossvik")
    unknown = await helga.post("/switch", {"account_id": "no-such"}, page=WHO)
    foreign = await helga.post("/switch", {"account_id": "fossvik"})
    assert unknown.status == foreign.status == 404
    assert unknown.body.replace(b"no-such", b"fossvik") == foreign.body
    portal = await site.visitor("portal", role="owner")
    assert (await portal.post("/switch", {"account_id": "fossvik"}, page="/settings/account/tokens")).status == 404


async def test_the_operator_goes_to_any_account(site: Site) -> None:
    await a_session(site.log, "owner", "fossvik")
    operator = await site.visitor("operator")
    assert (await operator.post("/switch", {"account_id": "fossvik"}, page=WHO)).status == 303
    assert b"Fossvik" in (await operator.get("/settings/account/people")).body


async def test_cookies_that_are_none_of_ours_open_nothing(site: Site) -> None:
    opened = await a_session(site.log)
    for value in ("", "x", opened.token[:-1], opened.token + "x", opened.session_id, "\xff\xfe"):
        assert (await Visitor(site.app, {SESSION: value}).get(WHO)).status == 303
    for name in ("waypost_session", "__Host-waypost_portal"):  # not the host's own, and not this kind's
        assert (await Visitor(site.app, {name: opened.token}).get(WHO)).status == 303


# -- links -------------------------------------------------------------------------------------------------------------


async def a_link(site: Site, **wanted: str) -> str:
    """Give what a link holds."""
    made = await site.log.do(links.make_link(NewLink(account_id=DEFAULT_ACCOUNT, made_by=OPERATOR, **wanted)))  # type: ignore[arg-type]
    return made.token


FIRST = {"name": "Helga Jónsdóttir", "email": HELGA, "password": PASSWORD}


async def test_the_first_owner_comes_by_a_link_that_works_once(site: Site) -> None:
    token = await a_link(site, kind="first_owner", role="owner")
    helga, other = site.stranger(), site.stranger()
    assert (await helga.get(f"/join/{token}")).status == 200
    assert (await other.get(f"/join/{token}")).status == 200  # looking does not use it up
    assert (await helga.post(f"/join/{token}", FIRST)).status == 303
    assert b"Helga" in (await helga.get("/settings/account/people")).body
    again = await other.post(f"/join/{token}", {**FIRST, "email": "eve@evil.example"})
    assert (again.status, (await other.get(f"/join/{token}")).status) == (404, 404)
    assert "person.joined" in await actions(site)


async def test_a_link_that_is_too_old_is_as_an_unknown_one(site: Site) -> None:
    ended = timedelta(seconds=-1)
    new = NewLink(kind="first_owner", account_id=DEFAULT_ACCOUNT, made_by=OPERATOR, role="owner", lasts=ended)
    made = await site.log.do(links.make_link(new))
    visitor = site.stranger()
    old, unknown = await visitor.get(f"/join/{made.token}"), await visitor.get(f"/join/{'x' * 43}")
    assert (old.status, old.body) == (404, unknown.body)


async def test_what_is_missing_is_said_beside_its_field_and_the_link_still_works(site: Site) -> None:
    token = await a_link(site, kind="first_owner", role="owner")
    helga = site.stranger()
    bad = {"name": " ", "email": "no address", "password": "short"}
    reply = await helga.post(f"/join/{token}", bad, page=f"/join/{token}")
    assert reply.status == 422
    for sentence in (b"Say your name", b"This is no e-mail address.", b"Use at least 12 characters."):
        assert sentence in reply.body
    assert (await helga.post(f"/join/{token}", FIRST)).status == 303


@pytest.mark.parametrize(
    "password", ["waypostwaypost", "helga helga helga", "aaaaaaaaaaaaaaaa", "password password", "x" * 300, "12345"]
)
async def test_a_password_that_is_easy_to_guess_is_refused(site: Site, password: str) -> None:
    token = await a_link(site, kind="first_owner", role="owner")
    helga = site.stranger()
    assert (await helga.post(f"/join/{token}", {**FIRST, "password": password}, page=f"/join/{token}")).status == 422


async def test_who_is_invited_joins_with_the_role_and_address_of_the_invitation(site: Site) -> None:
    token = await a_link(site, kind="invitation", email="jonas@fossvik.example", role="viewer")
    jonas = site.stranger()
    form = {"name": "Jonas", "email": "owner@evil.example", "password": PASSWORD, "role": "owner"}
    assert (await jonas.post(f"/join/{token}", form, page=f"/join/{token}")).status == 303
    (member,) = await site.log.look(lambda connection, _: people.list_members(connection, DEFAULT_ACCOUNT))
    assert (member.email, member.role) == ("jonas@fossvik.example", "viewer")


async def test_an_invitation_does_not_make_its_holder_somebody_who_exists(site: Site) -> None:
    await a_person(site.log, "owner", "fossvik", email=HELGA, password_hash=HASHED)
    token = await a_link(site, kind="invitation", email=HELGA, role="viewer")
    thief = site.stranger()
    form = {"name": "Helga", "password": "an entirely new secret"}
    assert (await thief.post(f"/join/{token}", form, page=f"/join/{token}")).status == 422
    assert SESSION not in thief.cookies
    assert (await thief.post(f"/join/{token}", {"password": PASSWORD})).status == 303


async def test_another_password_is_set_by_a_link_and_ends_all_sessions(site: Site) -> None:
    helga, _ = await helga_signs_in(site)
    me = await site.log.look(lambda connection, _: people.find_by_email(connection, HELGA))
    assert me is not None
    token = await a_link(site, kind="password", person_id=me.person_id)
    visitor, path = site.stranger(), f"/password/{token}"
    assert (await visitor.post(path, {"password": "short"}, page=path)).status == 422
    assert (await visitor.post(path, {"password": "nine herons watch the harbour"})).status == 303
    assert (await visitor.post(path, {"password": "eight herons watch the harbour"})).status == 404
    assert (await helga.get(WHO)).status == 303


async def test_an_owner_gets_no_password_link_of_who_belongs_to_another_account_too(site: Site) -> None:
    owner = await site.visitor("owner")
    await a_person(site.log, "viewer", email=HELGA)
    person_id = await a_person(site.log, "owner", "fossvik", email=HELGA)
    reply = await owner.post(f"/settings/account/people/{person_id}/password-link", page=WHO)
    assert (reply.status, b"/password/" in reply.body) == (403, False)


async def test_the_link_of_a_developer_adds_an_endpoint_and_reaches_no_other(site: Site) -> None:
    other = (await site.api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"})).json()
    manager = await site.visitor("manager")
    shown = (await manager.post("/settings/account/people/setup-link", page="/settings/account/people")).body.decode()
    path = re.search(r"https://waypost\.test(/add-endpoint/[\w-]+)", shown).group(1)  # type: ignore[union-attr]
    developer = site.stranger()
    assert (await developer.post(path, page=path)).status == 303
    assert (await site.stranger().get(path)).status == 404
    new = "/settings/integrations/webhooks/new"
    page = await developer.get(new)
    assert page.status == 200
    form = {**fields_of(page), "url": "https://shop.example/hooks", "events": ["shipment.created"], "act": "start"}
    assert (await developer.post(new, form)).status == 200
    made = (await site.api.call("GET", "/v1/endpoints")).json()["items"]
    assert {endpoint["url"] for endpoint in made} == {"https://erp.example/hooks", "https://shop.example/hooks"}
    for act in ("test", "start", "cancel"):
        evil = {**form, "endpoint_id": other["id"], "url": "https://evil.example/", "act": act}
        assert (await developer.post(new, evil)).status == 403
    theirs = f"/settings/integrations/webhooks/{other['id']}"
    for path in ("/", "/shipments", theirs, "/you", "/settings/account/people"):
        assert (await developer.get(path)).status == 403
    assert (await site.api.call("GET", f"/v1/endpoints/{other['id']}")).json()["url"] == "https://erp.example/hooks"


# -- what is said elsewhere --------------------------------------------------------------------------------------------


async def test_passwords_tokens_and_links_are_in_no_log(site: Site) -> None:
    token = await a_link(site, kind="first_owner", role="owner")
    helga = site.stranger()
    with structlog.testing.capture_logs() as lines:
        await helga.post("/sign-in", {"email": HELGA, "password": "canary of a password"}, page="/sign-in")
        await helga.post("/sign-in/operator", {"token": "wp_canary_of_a_token"})
        await helga.post(f"/join/{token}", {**FIRST, "password": "canary of a new password"}, page=f"/join/{token}")
        await helga.get(f"/portal/{'canary' * 7}")
        await helga.get(WHO)
    assert lines, "the refused tries are told"
    written = str(lines)
    assert not [word for word in ("canary", token, helga.cookies[SESSION]) if word in written]


def test_a_page_without_encryption_signs_nobody_in_but_on_this_machine() -> None:
    plain = Cookies("http://waypost.internal:8484")
    here = ("127.0.0.1:8484", "localhost:8484", "[::1]:8484")
    elsewhere = ("waypost.internal:8484", "10.0.0.5", "127.0.0.1.evil.example", "", "[")
    assert all(plain.are_safe_at(host) for host in here)
    assert not any(plain.are_safe_at(host) for host in elsewhere)
    assert plain.make("waypost_session", "x").to_header(header="").strip().startswith("waypost_session=x;")


async def test_a_session_ends_when_it_was_not_used_or_is_too_old(site: Site) -> None:
    opened = await a_session(site.log, "manager")

    async def is_alive(at: datetime) -> bool:
        found = await site.log.look(lambda connection, _: sessions.find_session(connection, opened.token, at))
        return found is not None

    begun = opened.expires_at - sessions.STAYING.life
    assert await is_alive(begun + sessions.STAYING.idle - timedelta(seconds=1))
    assert not await is_alive(begun + sessions.STAYING.idle)

    def used_lately(tx: Tx) -> None:
        seen_at = to_micros(opened.expires_at - timedelta(minutes=1))
        tx.connection.execute(update(session_rows).values(seen_at=seen_at))

    await site.log.do(Unit(DEFAULT_ACCOUNT, used_lately))
    assert await is_alive(opened.expires_at - timedelta(seconds=1))
    assert not await is_alive(opened.expires_at)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iOS"),
        ("curl/8.5\x1b[31m", "curl/8.5[31m"),
        ("", ""),
    ],
)
def test_a_browser_is_named_in_words(agent: str, words: str) -> None:
    assert browser_of(agent) == words


async def test_another_language_leads_back_to_the_same_page(site: Site) -> None:
    visitor = site.stranger()
    page = await visitor.get("/forgotten")
    assert b'href="/language/is?next=/forgotten"' in page.body
    reply = await visitor.get("/language/is?next=/forgotten")
    assert (reply.headers["location"], visitor.cookies["waypost_language"]) == ("/forgotten", "is")
    assert (await visitor.get("/language/xx?next=//evil.example")).headers["location"] == "/"
    assert visitor.cookies["waypost_language"] == "is"
