import manifest from "../../package.json";

/** Set by the build; see release/compile.ts. */
declare const AYDER_COMMIT: string;

export const VERSION: string = manifest.version;
/** The commit that it was built from; empty if that is not known. */
export const COMMIT: string = typeof AYDER_COMMIT === "string" ? AYDER_COMMIT : "";
/** Both, for people. */
export const VERSION_LINE: string = COMMIT === "" ? VERSION : `${VERSION} (${COMMIT})`;
