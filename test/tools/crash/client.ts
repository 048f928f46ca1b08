/** A bare HTTP client for the crash suite: an answer, or null if the outcome is unknown. */
export type Answer = { readonly status: number; readonly body: Record<string, unknown> };

export class Client {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async send(method: string, path: string, body?: string): Promise<Answer | null> {
    try {
      const response = await fetch(`${this.#url}${path}`, {
        method,
        headers: { authorization: "Bearer dev" },
        ...(body === undefined ? {} : { body }),
      });
      return { status: response.status, body: (await response.json()) as Answer["body"] };
    } catch {
      return null;
    }
  }

  /** For calls that must succeed: a server that was not killed. */
  async must(method: string, path: string, body?: string): Promise<Answer["body"]> {
    const answer = await this.send(method, path, body);
    if (answer === null) throw new Error(`${method} ${path}: no answer`);
    if (answer.status !== 200) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }
}
