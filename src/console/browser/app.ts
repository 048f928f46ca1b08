/** State that lives as long as the user is signed in. */
import { Samples } from "./samples.ts";

export const samples = new Samples();
