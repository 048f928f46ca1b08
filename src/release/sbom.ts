/** The bill of materials: CycloneDX 1.6, without randomness or time, so that it is reproducible. */
import { PROGRAM, VERSION } from "./compile.ts";
import type { Part } from "./contents.ts";

export type Artifact = { readonly name: string; readonly sha256: string };

const REFERENCE = `${PROGRAM}@${VERSION}`;

/** @param timestamp ISO 8601; null if the time of the commit is not known. */
export function sbomOf(
  parts: readonly Part[],
  artifacts: readonly Artifact[],
  commit: string,
  timestamp: string | null,
): string {
  const document = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      ...(timestamp && { timestamp }),
      component: {
        type: "application",
        "bom-ref": REFERENCE,
        name: PROGRAM,
        version: VERSION,
        licenses: [{ license: { id: "MIT" } }],
        properties: [{ name: `${PROGRAM}:commit`, value: commit }],
        components: artifacts.map(({ name, sha256 }) => ({
          type: "file",
          "bom-ref": name,
          name,
          hashes: [{ alg: "SHA-256", content: sha256 }],
        })),
      },
    },
    components: parts.map(component),
    dependencies: [
      { ref: REFERENCE, dependsOn: parts.map(referenceOf) },
      ...parts.map((part) => ({
        ref: referenceOf(part),
        dependsOn: parts.filter(({ name }) => part.uses.includes(name)).map(referenceOf),
      })),
    ],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** A package URL. */
const referenceOf = ({ name, version }: Part): string =>
  `pkg:npm/${name.replace("@", "%40")}@${version}`;

const component = (part: Part) => ({
  type: part.name === "bun" ? "platform" : "library",
  "bom-ref": referenceOf(part),
  name: part.name,
  version: part.version,
  licenses: [{ license: { id: part.license } }],
  purl: referenceOf(part),
  hashes: [
    {
      alg: "SHA-512",
      content: Buffer.from(part.integrity.replace("sha512-", ""), "base64").toString("hex"),
    },
  ],
});
