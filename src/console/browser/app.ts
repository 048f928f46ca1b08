/** What lives as long as somebody is signed in. */
import { Samples } from "./samples.ts";

export const samples = new Samples();
