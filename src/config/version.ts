import manifest from "../../package.json";

/** Set by the build, see release/compile.ts. */
declare const AYDER_COMMIT: string;

export const VERSION: string = manifest.version;
/** The commit of the build; empty if unknown. */
export const COMMIT: string = typeof AYDER_COMMIT === "string" ? AYDER_COMMIT : "";
/** Version and commit, for people. */
export const VERSION_LINE: string = COMMIT === "" ? VERSION : `${VERSION} (${COMMIT})`;
