/** The sign-in page, which asks for the token. */
import { ApiFailure, send } from "./api.ts";
import { listTopics } from "./lib/requests.ts";
import { signIn, signOut } from "./session.ts";
import { h } from "./ui/dom.ts";
import { form, submitButton, textField } from "./ui/form.ts";
import { logo } from "./ui/icons.ts";

/** @param reason why the last token is no longer accepted. */
export function signInPage(done: () => void, reason = ""): HTMLElement {
  const field = textField(
    "Token",
    { type: "password", autocomplete: "current-password", autofocus: true },
    "Stored in this tab only. A server without configured tokens accepts “dev”, from its own machine only.",
  );
  const submit = async () => {
    const token = field.control.value.trim();
    if (!/^[\u0021-\u007e]+$/.test(token)) throw new Error("The token is missing");
    signIn(token);
    try {
      await send(listTopics("", 1));
    } catch (error) {
      // A token without permission for this request is still a valid token.
      if (error instanceof ApiFailure && error.status === 403) return done();
      signOut();
      throw error instanceof ApiFailure && error.status === 401
        ? new Error("The server does not accept this token")
        : error;
    }
    done();
  };
  return h(
    "main",
    { class: "sign-in", id: "main" },
    h("h1", {}, logo(), "Ayder"),
    h("p", {}, location.host),
    reason === "" ? null : h("p", { class: "failure", role: "alert" }, reason),
    form("Sign in", submit, field.element, submitButton("Sign in")),
  );
}
