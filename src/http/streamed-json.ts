import type { AnswerSource } from "./answer-streams.ts";
import { markEncoded } from "./compression.ts";
import type { RequestContext } from "./request-context.ts";
import { headOfPieces } from "./responses.ts";
import type { Services } from "./services.ts";

/**
 * Returns JSON that is sent as its source produces it, compressed if the client asks for that.
 *
 * @param sourceOf charges each piece to the budget of answers. It is not called for a HEAD.
 */
export function streamedJson(
  { compression, answers }: Services,
  context: RequestContext,
  sourceOf: () => AnswerSource,
): Response {
  const headers = new Headers({ "content-type": "application/json", vary: "accept-encoding" });
  const coding = compression.codingFor(context.request);
  if (context.isHead) {
    if (coding !== null) markEncoded(headers, coding);
    return headOfPieces(headers);
  }
  const plain = sourceOf();
  const compressed = coding === null ? null : compression.source(coding, plain, true);
  if (coding !== null && compressed !== null) markEncoded(headers, coding);
  return answers.stream(context.request, compressed ?? plain, { headers });
}
