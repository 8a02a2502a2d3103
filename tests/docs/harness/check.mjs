// Reads one captured request a line and says for each whether the guide's JavaScript takes it.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { verify, SignatureError } = await import(pathToFileURL(process.argv[2]));
for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body, now } = JSON.parse(line);
  try {
    console.log(`event ${verify(Buffer.from(body, "base64"), headers, secret, now).id}`);
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    console.log(`refused: ${error.message}`);
  }
}
