<?php
// Check a webhook from Waypost with nothing but PHP itself (7.4 or newer).

declare(strict_types=1);

const TOLERANCE_S = 300;

/** The request is not to be trusted; the message says which part is wrong. */
final class SignatureError extends Exception
{
}

/**
 * Give the event in $body, or throw SignatureError.
 *
 * $body is file_get_contents('php://input'), before any parsing; $headers is getallheaders(); $now is Unix time.
 */
function verify(string $body, array $headers, string $secret, ?int $now = null): array
{
    $headers = array_change_key_case($headers, CASE_LOWER);
    foreach (['webhook-id', 'webhook-timestamp', 'webhook-signature'] as $name) {
        if (!isset($headers[$name])) {
            throw new SignatureError("the header $name is missing");
        }
    }
    $id = $headers['webhook-id'];
    $sentAt = $headers['webhook-timestamp'];
    if (preg_match('/\A[0-9]{1,12}\z/', $sentAt) !== 1) {
        throw new SignatureError('webhook-timestamp is not a number of seconds');
    }
    if (abs(($now ?? time()) - (int) $sentAt) > TOLERANCE_S) {
        throw new SignatureError('webhook-timestamp is more than five minutes away; is this clock right?');
    }

    $key = base64_decode(preg_replace('/\Awhsec_/', '', $secret), true);
    if ($key === false || $key === '') {
        throw new SignatureError('the secret is not whsec_ and base64');
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sentAt.$body", $key, true));
    // One signature for each live secret: while a secret is being rotated there are two.
    foreach (explode(' ', $headers['webhook-signature']) as $signature) {
        if (hash_equals($expected, $signature)) {
            return json_decode($body, true, 512, JSON_THROW_ON_ERROR);
        }
    }
    throw new SignatureError('no signature fits: another secret, or a body that changed on its way');
}
