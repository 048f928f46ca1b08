/** The manual of this version, as pages for a browser. They do not need a token. */
import { nearest } from "../../lib/nearest.ts";
import { ApiError, shown } from "../errors.ts";
import type { Endpoint } from "../request-context.ts";
import { IMMUTABLE, REVALIDATE, staticEndpoint, staticFile } from "../static-file.ts";

export function docsEndpoints(version: string): readonly Endpoint[] {
  // Loaded on first use: when run from source, this renders the pages, which takes a moment.
  const manual = async () => (await import("../../docs/manual.ts")).manualOf(version);
  let loaded: ReturnType<typeof manual> | null = null;
  const load = () => {
    loaded ??= manual();
    return loaded;
  };
  return [
    staticEndpoint("/docs", "The manual, for a browser", async (context) =>
      staticFile(context, (await load()).index, REVALIDATE),
    ),
    staticEndpoint("/docs/*", "A page of the manual", async (context) => {
      const { files } = await load();
      const name = context.pathText("*") || "index";
      const file = files.get(name);
      if (file !== undefined) {
        return staticFile(context, file, name.endsWith(".css") ? IMMUTABLE : REVALIDATE);
      }
      const known = nearest(name, [...files.keys()]);
      const hint = known === null ? "" : `; did you mean ${shown(known)}?`;
      throw new ApiError("route_not_found", `The manual has no page ${shown(name)}${hint}`);
    }),
  ];
}
