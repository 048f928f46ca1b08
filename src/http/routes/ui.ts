/**
 * The console. The page does not need a token, because it contains no data. It reads all data from
 * the API, with the token that the user enters.
 */

import { ApiError, shown } from "../errors.ts";
import type { Endpoint } from "../request-context.ts";
import { IMMUTABLE, REVALIDATE, staticEndpoint, staticFile } from "../static-file.ts";

// Loaded on first use: when run from source, this bundles the console, which takes a moment.
const assets = () => import("../../console/assets.ts");

export const uiEndpoints = (): readonly Endpoint[] => [
  staticEndpoint("/ui", "The console, for a browser", async (context) =>
    staticFile(context, (await assets()).PAGE, REVALIDATE),
  ),
  staticEndpoint("/ui/*", "A file of the console", async (context) => {
    const name = context.pathText("*");
    const { PAGE_WITH_SLASH, FILES } = await assets();
    if (name === "") return staticFile(context, PAGE_WITH_SLASH, REVALIDATE);
    const file = FILES.get(name);
    if (file !== undefined) return staticFile(context, file, IMMUTABLE);
    throw new ApiError("route_not_found", `The console has no file ${shown(name)}`);
  }),
];
