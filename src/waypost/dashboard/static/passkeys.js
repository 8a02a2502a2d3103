// Passkeys: what the browser's own part of WebAuthn needs between our two requests.
"use strict";

const passkeys = typeof PublicKeyCredential === "function" && typeof PublicKeyCredential.parseCreationOptionsFromJSON === "function";

async function send(path, csrf, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": csrf },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function tell(problem, text) {
  if (problem) {
    problem.textContent = text;
    problem.hidden = false;
  }
}

async function signIn(button) {
  const problem = document.querySelector("[data-passkey-problem]");
  const { csrf, next, failed } = button.dataset;
  const stay = document.getElementById("f-stay")?.checked ?? false;
  button.disabled = true;
  try {
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(await send("/sign-in/passkey/begin", csrf, {}));
    const credential = await navigator.credentials.get({ publicKey: options });
    const answer = await send("/sign-in/passkey", csrf, { credential: credential.toJSON(), next, stay });
    location.assign(answer.next);
  } catch (error) {
    tell(problem, failed);
    button.disabled = false;
  }
}

async function add(button) {
  const problem = document.querySelector("[data-passkey-problem]");
  const { csrf, failed } = button.dataset;
  const name = document.getElementById("f-passkey_name")?.value ?? "";
  button.disabled = true;
  try {
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(await send("/you/passkeys/begin", csrf, {}));
    const credential = await navigator.credentials.create({ publicKey: options });
    const answer = await send("/you/passkeys", csrf, { credential: credential.toJSON(), name });
    location.assign(answer.next);
  } catch (error) {
    tell(problem, failed);
    button.disabled = false;
  }
}

if (passkeys) {
  for (const part of document.querySelectorAll("[data-passkey]")) part.hidden = false;
  document.querySelector("[data-passkey-sign-in]")?.addEventListener("click", (event) => signIn(event.currentTarget));
  document.querySelector("[data-passkey-add]")?.addEventListener("click", (event) => add(event.currentTarget));
}
