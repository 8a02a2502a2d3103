"""Signatures are taken by the verifiers of other people."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.signing import (
    MalformedSecret,
    check_secret,
    new_private_key,
    new_secret,
    public_key,
    sign,
    signature_header,
)

NODE_JUDGE = Path(__file__).parents[1] / "receiver" / "node"
SECRET = new_secret(bytes(range(32)))

secrets = st.binary(min_size=24, max_size=64).map(new_secret)
bodies = st.dictionaries(st.text(), st.text() | st.integers() | st.none()).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
)


def headers(signatures: str, message_id: str, timestamp: int) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}


def test_a_signature_made_elsewhere_is_made_alike():
    # The example of github.com/standard-webhooks/standard-webhooks, spec, "Signature scheme".
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(secret=secrets, body=bodies)
def test_standardwebhooks_and_svix_take_what_is_signed_here(secret, body):
    now = int(time.time())
    sent = headers(sign(secret, "evt_1", now, body), "evt_1", now)
    assert standardwebhooks.Webhook(secret).verify(body, sent) == json.loads(body)
    svix_headers = {name.replace("webhook-", "svix-"): value for name, value in sent.items()}
    svix.Webhook(secret).verify(body, svix_headers)  # raises when it refuses


def test_they_refuse_a_body_that_was_changed():
    now = int(time.time())
    sent = headers(sign(SECRET, "evt_1", now, b"{}"), "evt_1", now)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(b"{ }", sent)
    with pytest.raises(svix.WebhookVerificationError):
        svix.Webhook(SECRET).verify(b"{ }", sent)


@pytest.fixture(scope="module")
def node_judge(tmp_path_factory):
    """The npm package `standardwebhooks`, as its lock file pins it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not on this machine")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "verify.mjs"):
        shutil.copy(NODE_JUDGE / name, folder)
    subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=120)

    def judge(requests: list[dict]) -> list[str]:
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        done = subprocess.run(
            [node, "verify.mjs"], cwd=folder, input=lines, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.splitlines()

    return judge


def test_the_javascript_library_takes_what_is_signed_here_and_nothing_else(node_judge):
    now, other = int(time.time()), new_secret(bytes(24))
    body = '{"name": "Pärnu 🚚"}'
    sent = headers(signature_header([other, SECRET], "evt_1", now, body.encode()), "evt_1", now)
    good = {"secret": SECRET, "headers": sent, "body": body}
    old_secret = {**good, "secret": other}
    changed = {**good, "body": body + " "}
    stranger = {**good, "secret": new_secret(bytes(range(30)))}
    verdicts = node_judge([good, old_secret, changed, stranger])
    assert [verdict.partition(":")[0] for verdict in verdicts] == ["accepted", "accepted", "refused", "refused"]


def test_each_live_secret_signs_in_the_given_order():
    private = new_private_key(bytes(range(32)))
    header = signature_header([SECRET, private], "evt_1", 1, b"{}")
    assert header == f"{sign(SECRET, 'evt_1', 1, b'{}')} {sign(private, 'evt_1', 1, b'{}')}"
    assert [part.split(",")[0] for part in header.split()] == ["v1", "v1a"]


@pytest.mark.parametrize(
    "secret", ["", "secret", "whsec_", "whsec_!!!", "whsec_QUJD", "whsk_QUJD", "WHSEC_" + "A" * 44]
)
def test_a_secret_of_a_wrong_form_is_refused_and_not_repeated(secret):
    with pytest.raises(MalformedSecret) as caught:
        check_secret(secret)
    assert not secret[6:] or secret[6:] not in str(caught.value)


def test_secrets_and_keys_have_the_prefixes_of_the_standard():
    private = new_private_key(bytes(range(32)))
    check_secret(SECRET)
    check_secret(private)
    assert (SECRET[:6], private[:5], public_key(private)[:5]) == ("whsec_", "whsk_", "whpk_")
    with pytest.raises(MalformedSecret):
        public_key(SECRET)
