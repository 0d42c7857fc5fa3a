// Verifies one of our statements with Sigstore's own JavaScript, and a public key; offline.
//
//     node verify.mjs STATEMENT KEY      prints the predicate type; status 1 and a code if it fails

import { readFileSync } from "node:fs";
import { createPublicKey } from "node:crypto";
import { bundleFromJSON } from "@sigstore/bundle";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const [statement, key] = process.argv.slice(2);
const publicKey = createPublicKey(readFileSync(key));
// No certificate authority, no log and no timestamp authority: one managed key is all the trust.
const nobody = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trust = toTrustMaterial(nobody, () => ({ publicKey, validFor: () => true }));
const none = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
try {
  const bundle = bundleFromJSON(JSON.parse(readFileSync(statement, "utf8")));
  new Verifier(trust, none).verify(toSignedEntity(bundle));
  console.log(JSON.parse(bundle.content.dsseEnvelope.payload.toString()).predicateType);
} catch (fault) {
  console.error(fault.code ?? fault.message);
  process.exitCode = 1;
}
