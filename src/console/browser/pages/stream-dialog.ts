import { sendForText } from "../api.ts";
import type { ApiRequest } from "../lib/request.ts";
import { go } from "../router.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { openDialog } from "../ui/dialog.ts";
import { button, type Field, form, row, submitButton } from "../ui/form.ts";

export type StreamDialog = {
  readonly title: string;
  /** Label of the button that sends the request. */
  readonly action: string;
  readonly path: Field<HTMLInputElement>;
  /** Fields after the path. */
  readonly others: readonly HTMLElement[];
  readonly request: () => ApiRequest;
};

/** Asks for a stream that is to be created, and shows it afterwards. */
export function openStreamDialog({ title, action, path, others, request }: StreamDialog): void {
  const create = async () => {
    await sendForText(request());
    const stream = path.control.value;
    dialog.close();
    note(`Created ${stream}`);
    go(["streams", stream]);
  };
  const dialog = openDialog(
    title,
    form(
      title,
      create,
      path.element,
      ...others,
      row(
        submitButton(action),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  path.control.focus();
}
