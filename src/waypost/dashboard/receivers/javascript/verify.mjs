// Check a webhook from Waypost with nothing but Node's own modules.
import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_S = 300;

/** The request is not to be trusted; the message says which part is wrong. */
export class SignatureError extends Error {}

/**
 * Give the event in `body`, or throw SignatureError.
 * `body` is a Buffer with the request's bytes exactly as they came, before any parsing; `headers` is what Node's
 * `request.headers` holds (lower-case names); `now` is Unix time in seconds.
 */
export function verify(body, headers, secret, now = Date.now() / 1000) {
  for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
    if (typeof headers[name] !== "string") throw new SignatureError(`the header ${name} is missing`);
  }
  const id = headers["webhook-id"];
  const sentAt = headers["webhook-timestamp"];
  if (!/^[0-9]{1,12}$/.test(sentAt)) throw new SignatureError("webhook-timestamp is not a number of seconds");
  if (Math.abs(now - Number(sentAt)) > TOLERANCE_S) {
    throw new SignatureError("webhook-timestamp is more than five minutes away; is this clock right?");
  }

  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const digest = createHmac("sha256", key).update(`${id}.${sentAt}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  // One signature for each live secret: while a secret is being rotated there are two.
  const fits = headers["webhook-signature"].split(" ").some((signature) => {
    const given = Buffer.from(signature);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!fits) throw new SignatureError("no signature fits: another secret, or a body that changed on its way");
  return JSON.parse(body.toString("utf8"));
}
